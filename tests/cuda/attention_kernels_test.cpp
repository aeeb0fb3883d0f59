// These tests run attention's kernels by the interpreter, in many orders: what comes out is the definition's, and the
// same to the bit whatever the order; kernels that lack a barrier or a wait are found out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "cuda/attention/attention.h"
#include "cuda/attention/decode_kernels.h"
#include "cuda/attention/forward_kernel.h"
#include "cuda/attention/launches.h"
#include "cuda/host/interpreter.h"
#include "cuda/run_by.h"
#include "host_matrix.h"
#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/decode_memory.h"

namespace longstride::cuda {

// A block whose barriers from the `kept`-th on do nothing, and one whose copies are not waited for.
struct BlockWithoutSync : host::HostBlock {
  int kept;
  BlockWithoutSync(const host::HostBlock& block, int barriers) : HostBlock(block), kept(barriers) {}
  void sync() {
    if (kept-- > 0) HostBlock::sync();
  }
};
struct BlockWithoutWait : host::HostBlock {
  explicit BlockWithoutWait(const host::HostBlock& block) : HostBlock(block) {}
};
struct CopiesWithoutWait : AsyncCopies {
  void wait() {}
};
inline CopiesWithoutWait async_copies(BlockWithoutWait&) { return {}; }

namespace {

using tests::expect_all_within;

const RunAll run_all = run_by(AttentionKernels::portable);

struct Case {
  std::vector<std::string> heads;
  std::int64_t B, T, H, Dq, Dv;
};

// Every kind of stream, alone and after others; every class of head sizes, and such as are no multiple of anything.
const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {{"dense"}, 1, 1, 1, 1, 1},
      {{"dense", "window(9)"}, 1, 65, 2, 33, 20},
      {{"dense"}, 2, 150, 1, 64, 64},
      {{"dense"}, 1, 70, 1, 80, 128},
      {{"strided(8)"}, 1, 63, 1, 256, 200},
      {{"column(7)", "row(50)", "previous_row(50)", "prefix(70)"}, 1, 130, 4, 16, 16},
      {{"summary(16,4,1)", "summary(100,40)", "digits(4,3)"}, 1, 130, 3, 16, 33},
      {{"strided(16)", "fixed(16,4)", "fixed(128,32)"}, 1, 200, 3, 64, 48},
      {{"column(5) | column(3)", "previous_row(20) | column(20)", "row(20) | column(6) | prefix(30) | summary(16,2)"},
       1,
       150,
       3,
       20,
       16},
      // More heads and patterns than one launch has.
      {{"window(1)", "window(2)", "window(3)", "window(4)", "window(5)", "window(6)", "window(7)", "column(3)"},
       2,
       20,
       70,
       8,
       8},
  };
  return kCases;
}

AttentionResult run_with_seed(const AttentionCase& c, DType type, std::uint64_t seed, Layout layout = Layout::columns) {
  host::set_seed(seed);
  return run_attention(run_all, c, type, layout);
}

void expect_same(const AttentionResult& a, const AttentionResult& b) {
  EXPECT_EQ(a.out, b.out);
  EXPECT_EQ(a.lse, b.lse);
  EXPECT_EQ(a.dq, b.dq);
  EXPECT_EQ(a.dk, b.dk);
  EXPECT_EQ(a.dv, b.dv);
}

void check_cases(DType type) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.heads[0] + ", T " + std::to_string(c.T) + ", Dq " + std::to_string(c.Dq));
    const AttentionCase numbers = attention_case(c.heads, c.B, c.T, c.H, c.Dq, c.Dv);
    AttentionResult bound;
    const AttentionResult wanted = define_attention(numbers, type, bound);
    const AttentionResult first = run_with_seed(numbers, type, 1);
    expect_all_within(first, wanted, bound);
    expect_same(run_with_seed(numbers, type, 1000), first);
    // Rows that are copied 16 bytes at a time, and rows that are not.
    expect_same(run_with_seed(numbers, type, 2000, Layout::by_head), first);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(AttentionKernels, EqualTheDefinitionInFloat32InAnyOrder) { check_cases(DType::float32); }
TEST(AttentionKernels, EqualTheDefinitionInBfloat16InAnyOrder) { check_cases(DType::bfloat16); }

TEST(AttentionKernels, OfSomeQueriesGiveThePiecesOfTheWhole) {
  const AttentionCase c = attention_case({"strided(16)", "fixed(32,8)"}, 2, 170, 2, 20, 17);
  AttentionResult bound;
  const AttentionResult wanted = define_attention_forward(c, DType::bfloat16, bound);
  AttentionMatrices matrices(c, DType::bfloat16, Layout::columns);
  matrices.forward_of(0, 31, run_all), matrices.forward_of(31, 33, run_all), matrices.forward_of(33, 170, run_all);
  const AttentionResult got = matrices.result();
  tests::expect_within("out", got.out, wanted.out, bound.out);
  tests::expect_within("lse", got.lse, wanted.lse, bound.lse);
}

// Memory that no query reads may hold anything: its weight of 0 must not meet it.
TEST(AttentionKernels, KeepWhatIsNotFiniteAwayFromThoseWhoDoNotReadIt) {
  for (const char* pattern : {"dense", "window(20)", "column(9)", "fixed(16,4)", "strided(16)"})
    for (const DType type : {DType::float32, DType::bfloat16}) {
      AttentionCase c = attention_case({pattern}, 1, 150, 1, 16, 20);
      const std::int64_t j = 77;
      c.v[static_cast<std::size_t>(j * c.Dv + 3)] = INFINITY;
      AttentionMatrices matrices(c, type);
      run_all({matrices.forward()});
      const AttentionResult got = matrices.result();
      for (std::int64_t i = 0; i < c.T; ++i) {
        ASSERT_EQ(std::isfinite(got.out[static_cast<std::size_t>(i * c.Dv + 3)]), !attends(c.patterns[0], i, j))
            << pattern << " query " << i;
        ASSERT_TRUE(std::isfinite(got.out[static_cast<std::size_t>(i * c.Dv + 4)])) << pattern << " query " << i;
      }
    }
}

TEST(AttentionKernels, DecodeTheWholeSequenceInAnyOrder) {
  const AttentionCase c =
      attention_case({"dense", "window(20)", "strided(12)", "fixed(16,4)", "previous_row(30)"}, 2, 70, 5, 16, 33);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    AttentionResult bound;
    const AttentionResult wanted = define_attention_forward(c, DType::float32, bound);
    const double of_output = type == DType::bfloat16 ? std::ldexp(1.0, -8) : 0;
    host::set_seed(1);
    const definitions::Values alone = decode(run_all, c, type, one_by_one(c));
    for (std::size_t e = 0; e < wanted.out.size(); ++e)
      ASSERT_LE(std::abs(alone[e] - wanted.out[e]),
                bound.out[e] * (1 + of_output) + of_output * std::abs(wanted.out[e]) + 1e-30)
          << e;
    for (const auto& steps : {side_by_side(c), staggered(c, 17), in_pieces(c, 20)})
      EXPECT_EQ(decode(run_all, c, type, steps), alone);
  }
}

// More keys than one part has, and than one block takes at a time.
TEST(AttentionKernels, DecodeLongListsInPartsOfTheirLengthAlone) {
  const AttentionCase c = attention_case({"dense"}, 1, 150, 1, 8, 200);
  AttentionResult bound;
  const AttentionResult wanted = define_attention_forward(c, DType::float32, bound);
  const definitions::Values got = decode(run_all, c, DType::float32, side_by_side(c, 140));
  for (std::size_t e = 0; e < wanted.out.size(); ++e) ASSERT_LE(std::abs(got[e] - wanted.out[e]), bound.out[e] + 1e-30);
}

// The largest score of a part rises from one of its pieces to the next.
TEST(AttentionKernels, DecodePartsOfMoreKeysThanABlockTakesAtATime) {
  constexpr std::int64_t kSlots = kMostParts * 250, Dq = 16, Dv = 40;
  HostMatrix q(DType::float32, 1, Dq, 1), k(DType::float32, 1, Dq, 2), v(DType::float32, 1, Dv, 3);
  HostMatrix keys(DType::float32, kSlots, Dq, 4), values(DType::float32, kSlots, Dv, 5);
  HostMatrix out = HostMatrix::of_nothing(DType::float32, 1, Dv);
  std::vector<std::int32_t> sequence = {0}, group = {0}, write = {kSlots - 1}, read(kSlots);
  std::vector<std::int64_t> first = {0}, begin = {0}, write_end = {1}, read_end = {kSlots};
  std::iota(read.begin(), read.end(), 0);
  DecodeAttention op;
  op.H = 1, op.slots = kSlots, op.scale = 3, op.groups = 1;
  op.q = q.view(), op.k = k.view(), op.v = v.view(), op.out = out.view();
  op.keys = keys.view(), op.values = values.view(), op.sequence = array_of(sequence), op.group = array_of(group);
  op.first_slot = array_of(first), op.write = array_of(write), op.read = array_of(read);
  op.write_begin = array_of(begin), op.write_end = array_of(write_end);
  op.read_begin = array_of(begin), op.read_end = array_of(read_end);
  const definitions::Values wanted = definitions::decode_attention(op);
  run_all({op});
  // A mean of values below 1 by weights that rounding moves by some 1e-6 of themselves.
  tests::expect_close(out.values(), wanted, 2e-5, 0, "out");
}

// Every head is in one launch, with its own pattern, also where a pattern comes again after others had its place.
TEST(Launches, HaveEveryHeadOnceWithItsPattern) {
  constexpr int kPatterns = 8, kHeads = 150;
  HeadWalks all;
  for (int window = 1; window <= kPatterns; ++window)
    all.walks.push_back(walks_of(parse_pattern("window(" + std::to_string(window) + ")"), 20));
  for (int h = 0; h < kHeads; ++h) all.of_head.push_back(h * (h + 1) / 2 % kPatterns);
  std::vector<int> seen(kHeads, 0);
  const auto blocks_of = [](const Walks& walks) -> std::int64_t { return walks.window == 2 ? 0 : walks.window; };
  each_launch(all, blocks_of, [&](const LaunchHeads& heads, std::int64_t blocks) {
    std::int64_t most = 0;
    for (int y = 0; y < heads.heads; ++y) {
      const int h = heads.head[y], which = all.of_head[static_cast<std::size_t>(h)];
      ++seen[static_cast<std::size_t>(h)];
      ASSERT_EQ(heads.walks_of(y).window, which + 1) << "head " << h;
      most = std::max<std::int64_t>(most, which + 1);
    }
    EXPECT_EQ(blocks, most);
  });
  for (int h = 0; h < kHeads; ++h)
    EXPECT_EQ(seen[static_cast<std::size_t>(h)], all.of_head[static_cast<std::size_t>(h)] == 1 ? 0 : 1) << h;
}

TEST(DecodeParts, AreOfALengthThatRisesWhenTheirNumberCannot) {
  EXPECT_EQ(parts_of(0), 1);
  EXPECT_EQ(parts_of(kPartKeys), 1);
  EXPECT_EQ(parts_of(kPartKeys + 1), 2);
  EXPECT_EQ(parts_of(1000 * kPartKeys), kMostParts);
  for (const std::int64_t keys : {0, 1, 64, 65, 1000, 2048, 2049, 12288})
    for (int part = 0; part < parts_of(keys); ++part) EXPECT_LE(part_begin(keys, part), part_begin(keys, part + 1));
  EXPECT_EQ(part_begin(12288, kMostParts), 12288);
}

// Forward of one head by a kernel whose blocks `make` has changed.
template <class Make>
std::vector<float> forward_with(const Make& make, std::uint64_t seed) {
  const AttentionCase c = attention_case({"dense"}, 1, 150, 1, 64, 64);
  AttentionMatrices matrices(c, DType::bfloat16, Layout::by_head);
  const Attention op = matrices.forward();
  using Kernel = ForwardKernel<bf16, 64>;
  Kernel kernel;
  kernel.first = 0, kernel.queries = 150, kernel.H = 1, kernel.sweep = 0;
  kernel.scale = op.scale * kLog2e;
  kernel.q = HeadsView<bf16>(op.q), kernel.k = HeadsView<bf16>(op.k), kernel.v = HeadsView<bf16>(op.v);
  kernel.out = {HeadsView<bf16>(op.out), {}};
  kernel.lse = op.lse.data;
  kernel.heads.walks[0] = walks_of(c.patterns[0], 150);
  kernel.heads.heads = 1;
  host::set_seed(seed);
  host::run_blocks({3}, Kernel::kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) {
    auto changed = make(block);
    kernel(changed);
  });
  return {op.lse.data, op.lse.data + 150};
}

TEST(AttentionKernels, WithoutABarrierOrAWaitAreFoundOut) {
  const std::vector<float> wanted = forward_with([](host::HostBlock& block) { return block; }, 1);
  const auto found = [&](const auto& make) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      const std::vector<float> got = forward_with(make, seed);
      if (std::memcmp(got.data(), wanted.data(), got.size() * sizeof(float)) != 0) return true;
    }
    return false;
  };
  EXPECT_FALSE(found([](host::HostBlock& block) { return block; }));
  EXPECT_FALSE(found([](host::HostBlock& block) { return BlockWithoutSync(block, 100); }));
  for (const int kept : {0, 1, 2})
    EXPECT_TRUE(found([&](host::HostBlock& block) { return BlockWithoutSync(block, kept); })) << kept;
  EXPECT_TRUE(found([](host::HostBlock& block) { return BlockWithoutWait(block); }));
}

}  // namespace
}  // namespace longstride::cuda
