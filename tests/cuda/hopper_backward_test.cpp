// These tests run Hopper's backward kernels by the interpreter, in many orders: what comes out is the definition's and
// close to the portable kernels', the same to the bit whatever the order; kernels that lack a wait are found out.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cuda/hopper/backward_kernels.h"
#include "cuda/hopper_cases.h"
#include "cuda/host/interpreter.h"
#include "cuda/host/kind_of_card.h"
#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/backend.h"
#include "ops/device_twin.h"

namespace longstride::cuda {
namespace {

AttentionResult run_with(AttentionKernels kernels, const AttentionCase& c, std::uint64_t seed, Layout layout) {
  host::set_seed(seed);
  return run_attention(run_by(kernels), c, DType::bfloat16, layout);
}

void expect_same_gradients(const AttentionResult& a, const AttentionResult& b) {
  EXPECT_EQ(a.dq, b.dq);
  EXPECT_EQ(a.dk, b.dk);
  EXPECT_EQ(a.dv, b.dv);
}

void check_backward(const HopperCase& c) {
  SCOPED_TRACE(c.heads[0] + ", T " + std::to_string(c.T) + ", D " + std::to_string(c.Dq) + ", " + std::to_string(c.Dv));
  const AttentionCase numbers = attention_case(c.heads, c.B, c.T, c.H, c.Dq, c.Dv);
  AttentionResult bound;
  const AttentionResult wanted = define_attention(numbers, DType::bfloat16, bound);
  const AttentionResult first = run_with(AttentionKernels::hopper, numbers, 1, Layout::by_position);
  tests::expect_all_within(first, wanted, bound);
  expect_same_gradients(run_with(AttentionKernels::hopper, numbers, 1000, Layout::by_head), first);
  AttentionResult twice = bound;  // two kernels, each within the bound
  for (std::vector<double>* of : {&twice.out, &twice.lse, &twice.dq, &twice.dk, &twice.dv})
    for (double& x : *of) x *= 2;
  const AttentionResult portable = run_with(AttentionKernels::portable, numbers, 1, Layout::by_position);
  tests::expect_all_within(first, portable, twice);
}

TEST(HopperBackward, EqualsTheDefinitionInAnyOrder) {
  for (const HopperCase& c : hopper_cases()) {
    check_backward(c);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(HopperBackward, OfOneUnionIsItsDefinition) {
  check_backward({{"row(20) | column(2) | summary(16,2)"}, 1, 200, 1, 64, 64});
}

TEST(HopperBackward, IsTakenOnCardsThatHaveIt) {
  const AttentionCase c = attention_case({"strided(2)"}, 1, 160, 1, 64, 64);
  AttentionResult bound;
  const AttentionResult wanted = define_attention(c, DType::bfloat16, bound);
  for (const AttentionKernels kernels : {AttentionKernels::portable, AttentionKernels::hopper}) {
    AttentionMatrices matrices(c, DType::bfloat16, Layout::by_position);
    run_by(AttentionKernels::portable)({matrices.forward()});
    host::attention_kernels() = kernels;
    const std::int64_t before = host::blocks_with_async_unit();
    const auto backend = make_backend(Device::cuda);
    EXPECT_EQ(DeviceTwin(*backend, {matrices.backward()}).run({}), "");
    EXPECT_EQ(host::blocks_with_async_unit() > before, kernels == AttentionKernels::hopper);
    tests::expect_all_within(matrices.result(), wanted, bound);
  }
  host::attention_kernels() = AttentionKernels::portable;
}

// One head, dense: gradients by kernels whose blocks have the fault, one kernel after the other.
struct LeftByBackward {
  std::vector<double> numbers;
  std::string error;
};
template <class Kernel, class Set>
LeftByBackward backward_with(Fault fault, std::uint64_t seed, const Set& set) {
  constexpr std::int64_t T = 330;
  const AttentionCase c = attention_case({"dense"}, 1, T, 1, 64, 64);
  AttentionMatrices matrices(c, DType::bfloat16, Layout::by_head);
  const AttentionBackward op = matrices.backward();
  run_by(AttentionKernels::portable)({op.forward});
  std::vector<float> delta(T, 0.25f);
  Kernel kernel;
  kernel.portable.T = T, kernel.portable.H = 1, kernel.portable.sweep = 0, kernel.portable.scale = op.forward.scale;
  kernel.portable.lse = op.forward.lse.data, kernel.portable.delta = delta.data();
  kernel.portable.heads.walks[0] = walks_of(c.patterns[0], T);
  kernel.portable.heads.heads = 1;
  set(kernel, op);
  host::set_seed(seed);
  LeftByBackward left;
  left.error = error_with(fault, kernel, 3);
  const AttentionResult got = matrices.result();
  for (const auto* of : {&got.dq, &got.dk, &got.dv}) append_comparable(left.numbers, *of);
  return left;
}
LeftByBackward queries_with(Fault fault, std::uint64_t seed) {
  return backward_with<HopperBackwardQueriesKernel<64>>(fault, seed, [](auto& kernel, const AttentionBackward& op) {
    kernel.portable.dq = {HeadsView<bf16>(op.dq), {}};
    kernel.own = {map_of(op.forward.q), map_of(op.dout)}, kernel.walked = {map_of(op.forward.k), map_of(op.forward.v)};
  });
}
LeftByBackward keys_with(Fault fault, std::uint64_t seed) {
  return backward_with<HopperBackwardKeysKernel<64>>(fault, seed, [](auto& kernel, const AttentionBackward& op) {
    kernel.portable.dk = {HeadsView<bf16>(op.dk), {}}, kernel.portable.dv = {HeadsView<bf16>(op.dv), {}};
    kernel.own = {map_of(op.forward.k), map_of(op.forward.v)}, kernel.walked = {map_of(op.forward.q), map_of(op.dout)};
  });
}

template <class Run>
void expect_faults_found(const Run& run) {
  const LeftByBackward wanted = run(Fault::none, 1);
  const auto found = [&](Fault fault, std::uint64_t seeds = 6) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      const LeftByBackward got = run(fault, seed);
      if (!got.error.empty() || got.numbers != wanted.numbers) return true;
    }
    return false;
  };
  EXPECT_FALSE(found(Fault::none, 3));
  EXPECT_FALSE(found(Fault::is_late, 2));
  EXPECT_TRUE(found(Fault::waits_for_nothing));
  EXPECT_TRUE(found(Fault::waits_for_wrong_phase));
  EXPECT_TRUE(found(Fault::waits_for_no_products));
  EXPECT_TRUE(found(Fault::begins_no_products));
  EXPECT_TRUE(found(Fault::frees_nothing));
  EXPECT_TRUE(found(Fault::frees_early));
}

TEST(HopperBackward, ForQueriesThatWaitsForTooLittleIsFoundOut) { expect_faults_found(queries_with); }
TEST(HopperBackward, ForKeysThatWaitsForTooLittleIsFoundOut) { expect_faults_found(keys_with); }

}  // namespace
}  // namespace longstride::cuda
