// These tests run Hopper's forward kernel by the interpreter, in many orders: what comes out is the definition's and
// close to the portable kernel's, the same to the bit whatever the order; kernels that lack a wait or a barrier are
// found out.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cuda/hopper/forward_kernel.h"
#include "cuda/hopper_cases.h"
#include "cuda/host/interpreter.h"
#include "cuda/host/kind_of_card.h"
#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/backend.h"
#include "ops/device_twin.h"

namespace longstride::cuda {

namespace {

AttentionResult forward_by(AttentionKernels kernels, const AttentionCase& c, std::uint64_t seed, Layout layout) {
  host::set_seed(seed);
  AttentionMatrices matrices(c, DType::bfloat16, layout);
  run_by(kernels)({matrices.forward()});
  EXPECT_TRUE(matrices.gaps_untouched());
  return matrices.result();
}

void expect_forward_within(const AttentionResult& got, const AttentionResult& wanted, const AttentionResult& bound) {
  tests::expect_within("out", got.out, wanted.out, bound.out);
  tests::expect_within("lse", got.lse, wanted.lse, bound.lse);
}

TEST(HopperForward, EqualsTheDefinitionInAnyOrder) {
  for (const HopperCase& c : hopper_cases()) {
    SCOPED_TRACE(c.heads[0] + ", T " + std::to_string(c.T) + ", D " + std::to_string(c.Dq) + ", " +
                 std::to_string(c.Dv));
    const AttentionCase numbers = attention_case(c.heads, c.B, c.T, c.H, c.Dq, c.Dv);
    AttentionResult bound;
    const AttentionResult wanted = define_attention_forward(numbers, DType::bfloat16, bound);
    const std::int64_t before = host::blocks_with_async_unit();
    const AttentionResult first = forward_by(AttentionKernels::hopper, numbers, 1, Layout::by_position);
    EXPECT_GT(host::blocks_with_async_unit(), before);
    expect_forward_within(first, wanted, bound);
    const AttentionResult other = forward_by(AttentionKernels::hopper, numbers, 1000, Layout::by_head);
    EXPECT_EQ(other.out, first.out);
    EXPECT_EQ(other.lse, first.lse);
    // The portable kernel's differ by what rounding may do to both.
    const AttentionResult portable = forward_by(AttentionKernels::portable, numbers, 1, Layout::by_position);
    AttentionResult twice = bound;
    for (double& x : twice.out) x *= 2;
    for (double& x : twice.lse) x *= 2;
    expect_forward_within(first, portable, twice);
    if (testing::Test::HasFailure()) return;
  }
}

// Queries from anywhere on, so that blocks begin within one.
TEST(HopperForward, OfSomeQueriesGivesThePiecesOfTheWhole) {
  const AttentionCase c = attention_case({"strided(2)", "fixed(64,16)"}, 2, 420, 2, 64, 64);
  AttentionResult bound;
  const AttentionResult wanted = define_attention_forward(c, DType::bfloat16, bound);
  AttentionMatrices matrices(c, DType::bfloat16, Layout::by_position);
  const RunAll run = run_by(AttentionKernels::hopper);
  matrices.forward_of(0, 150, run), matrices.forward_of(150, 153, run), matrices.forward_of(153, 420, run);
  expect_forward_within(matrices.result(), wanted, bound);
}

// A number that is not finite reaches those who read it and nobody else: such queries are computed by another text.
TEST(HopperForward, KeepsWhatIsNotFiniteAwayFromThoseWhoDoNotReadIt) {
  for (const char* pattern : {"dense", "window(90)", "column(3)", "fixed(64,16)"}) {
    AttentionCase c = attention_case({pattern}, 1, 330, 1, 64, 64);
    const std::int64_t of_value = 95, of_key = 200, of_query = 260;
    c.v[static_cast<std::size_t>(of_value * 64 + 3)] = INFINITY;
    c.k[static_cast<std::size_t>(of_key * 64 + 5)] = NAN;
    c.q[static_cast<std::size_t>(of_query * 64 + 1)] = NAN;
    const AttentionResult got = forward_by(AttentionKernels::hopper, c, 1, Layout::by_head);
    for (std::int64_t i = 0; i < c.T; ++i) {
      const bool reads_key = attends(c.patterns[0], i, of_key) || i == of_query;
      const bool reads_value = attends(c.patterns[0], i, of_value);
      ASSERT_EQ(std::isfinite(got.out[static_cast<std::size_t>(i * 64 + 3)]), !reads_key && !reads_value)
          << pattern << " query " << i;
      ASSERT_EQ(std::isfinite(got.out[static_cast<std::size_t>(i * 64 + 4)]), !reads_key) << pattern << " query " << i;
      ASSERT_EQ(std::isfinite(got.lse[static_cast<std::size_t>(i)]), !reads_key) << pattern << " query " << i;
    }
  }
}

TEST(HopperForward, LeavesToThePortableKernelWhatItHasNoKernelFor) {
  const auto used = [](const AttentionCase& c, DType type, Layout layout, AttentionKernels kernels) {
    const std::int64_t before = host::blocks_with_async_unit();
    AttentionMatrices matrices(c, type, layout);
    run_by(kernels)({matrices.forward()});
    AttentionResult bound;
    expect_forward_within(matrices.result(), define_attention_forward(c, type, bound), bound);
    return host::blocks_with_async_unit() > before;
  };
  const auto dense = [](std::int64_t T, std::int64_t Dq, std::int64_t Dv) {
    return attention_case({"dense"}, 1, T, 1, Dq, Dv);
  };
  constexpr auto kHopper = AttentionKernels::hopper;
  EXPECT_TRUE(used(dense(70, 64, 64), DType::bfloat16, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(70, 64, 64), DType::bfloat16, Layout::by_head, AttentionKernels::portable));
  EXPECT_FALSE(used(dense(70, 64, 64), DType::float32, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(70, 64, 64), DType::bfloat16, Layout::apart, kHopper));  // strides of odd numbers of bytes
  EXPECT_TRUE(used(dense(70, 32, 128), DType::bfloat16, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(70, 24, 64), DType::bfloat16, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(70, 64, 84), DType::bfloat16, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(70, 256, 256), DType::bfloat16, Layout::by_head, kHopper));
  EXPECT_FALSE(used(dense(63, 64, 64), DType::bfloat16, Layout::by_head, kHopper));  // fewer queries than a consumer's
}

// What a program of the backend takes follows from the card.
TEST(HopperForward, IsTakenOnCardsThatHaveIt) {
  const AttentionCase c = attention_case({"strided(2)"}, 1, 160, 1, 64, 64);
  AttentionResult bound;
  const AttentionResult wanted = define_attention_forward(c, DType::bfloat16, bound);
  for (const AttentionKernels kernels : {AttentionKernels::portable, AttentionKernels::hopper}) {
    host::attention_kernels() = kernels;
    const std::int64_t before = host::blocks_with_async_unit();
    AttentionMatrices matrices(c, DType::bfloat16, Layout::by_position);
    const auto backend = make_backend(Device::cuda);
    EXPECT_EQ(DeviceTwin(*backend, {matrices.forward()}).run({}), "");
    EXPECT_EQ(host::blocks_with_async_unit() > before, kernels == AttentionKernels::hopper);
    expect_forward_within(matrices.result(), wanted, bound);
  }
  host::attention_kernels() = AttentionKernels::portable;
}

// Forward of one head, dense, by a kernel whose blocks have the fault: what it leaves, or the words of its error.
struct LeftByForward {
  std::vector<double> numbers;  // lse, then out
  std::string error;
};
LeftByForward forward_with(Fault fault, std::uint64_t seed, bool spoiled) {
  const std::int64_t T = spoiled ? 128 : 720;
  AttentionCase c = attention_case({"dense"}, 1, T, 1, 64, 64);
  if (spoiled) c.q[0] = NAN;  // of the first consumer
  AttentionMatrices matrices(c, DType::bfloat16, Layout::by_head);
  const Attention op = matrices.forward();
  using Kernel = HopperForwardKernel<64>;
  Kernel kernel;
  kernel.portable.first = 0, kernel.portable.queries = static_cast<int>(T), kernel.portable.H = 1,
  kernel.portable.sweep = 0;
  kernel.portable.scale = op.scale * kLog2e;
  kernel.portable.q = HeadsView<bf16>(op.q), kernel.portable.k = HeadsView<bf16>(op.k);
  kernel.portable.v = HeadsView<bf16>(op.v), kernel.portable.out = {HeadsView<bf16>(op.out), {}};
  kernel.portable.lse = op.lse.data;
  kernel.portable.heads.walks[0] = walks_of(c.patterns[0], T);
  kernel.portable.heads.heads = 1;
  kernel.q = map_of(op.q), kernel.k = map_of(op.k), kernel.v = map_of(op.v);
  host::set_seed(seed);
  LeftByForward left;
  left.error = error_with(fault, kernel, 1);
  append_comparable(left.numbers, matrices.result().lse);
  append_comparable(left.numbers, matrices.result().out);
  return left;
}

TEST(HopperForward, ThatWaitsForTooLittleIsFoundOut) {
  const LeftByForward wanted = forward_with(Fault::none, 1, false);
  const auto found = [&](Fault fault) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const LeftByForward got = forward_with(fault, seed, false);
      if (!got.error.empty() || got.numbers != wanted.numbers) return true;
    }
    return false;
  };
  EXPECT_FALSE(found(Fault::none));
  EXPECT_TRUE(found(Fault::waits_for_nothing));
  EXPECT_TRUE(found(Fault::waits_for_wrong_phase));
  EXPECT_TRUE(found(Fault::waits_for_no_products));
  EXPECT_TRUE(found(Fault::begins_no_products));
  EXPECT_TRUE(found(Fault::frees_nothing));
  EXPECT_TRUE(found(Fault::frees_early));
}

// A stage that a consumer leaves too early is filled before the others are done only where the producer runs ahead.
TEST(HopperForward, EqualsItselfWhereWarpsRunAhead) {
  const LeftByForward wanted = forward_with(Fault::none, 1, false);
  const host::RanksInEveryBlock ranks;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const LeftByForward got = forward_with(Fault::none, seed, false);
    ASSERT_EQ(got.error, "");
    ASSERT_EQ(got.numbers, wanted.numbers) << seed;
  }
}

// Where one consumer computes once more, it writes over stages that the other must have done with.
TEST(HopperForward, WhoseConsumersEndApartIsFoundOut) {
  const LeftByForward wanted = forward_with(Fault::none, 1, true);
  EXPECT_EQ(wanted.error, "");
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    EXPECT_EQ(forward_with(Fault::is_late, seed, true).numbers, wanted.numbers);
    const LeftByForward got = forward_with(Fault::is_late_and_ends_apart, seed, true);
    found += !got.error.empty() || got.numbers != wanted.numbers;
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace longstride::cuda
