// These tests show that buffers which live together never overlap.
#include "ops/memory.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <ctime>
#include <numeric>
#include <vector>

namespace longstride {
namespace {

void expect_disjoint(const MemoryPlan& plan) {
  for (std::size_t a = 0; a < plan.count(); ++a) {
    RC_ASSERT(plan.offset(a) % kAlignment == 0);
    RC_ASSERT(plan.offset(a) + plan.bytes(a) <= plan.total_bytes());
    for (std::size_t b = 0; b < a; ++b) {
      const bool apart =
          plan.offset(a) + plan.bytes(a) <= plan.offset(b) || plan.offset(b) + plan.bytes(b) <= plan.offset(a);
      RC_ASSERT(apart || !plan.overlap_in_time(a, b));
    }
  }
}

TEST(MemoryPlan, KeepsBuffersThatLiveTogetherApart) {
  EXPECT_TRUE(rc::check([] {
    MemoryPlan plan;
    const int count = *rc::gen::inRange(1, 30);
    for (int i = 0; i < count; ++i) {
      const int first = *rc::gen::inRange(0, 10);
      plan.add("buffer", *rc::gen::inRange(0, 5000), first, first + *rc::gen::inRange(0, 5));
    }
    plan.lay_out();
    expect_disjoint(plan);
  }));
}

// The definition: largest first, the lowest offset at which nothing lies that lives at the same time.
std::vector<std::int64_t> lowest_offsets(const MemoryPlan& plan) {
  std::vector<std::size_t> order(plan.count()), placed;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return plan.bytes(a) > plan.bytes(b); });
  std::vector<std::int64_t> offsets(plan.count());
  for (const std::size_t buffer : order) {
    std::int64_t at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (const std::size_t other : placed) {
        const bool meets = plan.overlap_in_time(buffer, other) && at < offsets[other] + plan.bytes(other) &&
                           offsets[other] < at + plan.bytes(buffer);
        if (meets) at = offsets[other] + plan.bytes(other), moved = true;
      }
    }
    offsets[buffer] = at;
    placed.push_back(buffer);
  }
  return offsets;
}

TEST(MemoryPlan, TakesTheLowestOffsetThatIsFree) {
  EXPECT_TRUE(rc::check([] {
    MemoryPlan plan;
    const int count = *rc::gen::inRange(1, 60), stages = *rc::gen::inRange(1, 40);
    for (int i = 0; i < count; ++i) {
      const int first = *rc::gen::inRange(0, stages);
      plan.add("buffer", 64 * *rc::gen::inRange(0, 6), first, *rc::gen::inRange(first, stages));
    }
    plan.lay_out();
    const std::vector<std::int64_t> lowest = lowest_offsets(plan);
    for (std::size_t at = 0; at < plan.count(); ++at) RC_ASSERT(plan.offset(at) == lowest[at]);
  }));
}

// As many as thousands of blocks have, whose activations wait for the way back: nothing that grows with the square.
TEST(MemoryPlan, IsMadeAtOnceForManyBuffers) {
  constexpr int kBlocks = 15000, kOfBlock = 8, kEnd = 2 * kBlocks * kOfBlock;
  MemoryPlan plan;
  std::int64_t kept = 0;
  for (int at = 0; at < kBlocks * kOfBlock; ++at) {
    const bool waits = at % kOfBlock < 3;
    const std::int64_t bytes = 64 * (1 + at % kOfBlock);
    if (waits) kept += bytes;
    plan.add("buffer", bytes, at, waits ? kEnd - at : at + 2);
  }
  const std::clock_t begun = std::clock();  // of the processor, whatever else it does
  plan.lay_out();
  const double taken_s = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  EXPECT_LT(taken_s, 10) << "every buffer against every other would take twice as long";
  EXPECT_GE(plan.total_bytes(), kept);
  EXPECT_LT(plan.total_bytes(), kept + 64 * 40);
}

TEST(MemoryPlan, LetsBuffersShareBytesWhereTheirLivesDoNotMeet) {
  MemoryPlan plan;
  plan.add("a", 640, 0, 1);
  plan.add("b", 640, 2, 3);
  plan.add("c", 64, 1, 2);
  plan.lay_out();
  EXPECT_EQ(plan.total_bytes(), 704);
  EXPECT_EQ(plan.offset(0), plan.offset(1));
}

}  // namespace
}  // namespace longstride
