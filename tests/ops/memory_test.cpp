// These tests show that buffers which live together never overlap.
#include "ops/memory.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

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
