// These tests show what compiling a program for the processor does and does not: it looks at no address and counts
// scratch memory; and a run takes no more of it, whatever the number of threads was when the program was compiled.
#include "cpu/executable.h"

#include <gtest/gtest.h>

#include "cpu/backend.h"
#include "cpu/every_isa.h"
#include "cpu/workspace.h"
#include "ops/attention_memory.h"

namespace longstride::cpu {
namespace {

using namespace longstride::tests;

// A program with a mark is run by no crew: a crew counts its scratch memory when lists of slots are known.
Program marked(const Operation& operation) {
  Program program;
  program.add(operation), program.add(Mark{});
  return program;
}

std::int64_t workspace_of(const Operation& operation) {
  CpuShared shared;
  const CpuExecutable executable(marked(operation), shared);
  EXPECT_EQ(shared.workspace.reserved_bytes(), 0);  // nothing is allocated before bind
  return executable.workspace_bytes();
}

// The same operation, in memory and nowhere, needs the same scratch memory, and a run takes no more than that.
void expect_counted(const Operation& operation, std::int64_t least, const StepInputs& inputs = {}) {
  const std::string name = name_of(operation);
  Operation nowhere = operation;
  each_operand(nowhere, [](Use, auto& operand) { operand.data = nullptr; });
  const std::int64_t counted = workspace_of(nowhere);
  EXPECT_GE(counted, least) << name;
  EXPECT_EQ(counted, workspace_of(operation)) << name;
  CpuShared shared;
  CpuExecutable executable(marked(operation), shared);
  executable.bind(nullptr);
  EXPECT_EQ(shared.workspace.reserved_bytes(), counted) << name;
  executable.run(inputs);
  EXPECT_EQ(shared.workspace.reserved_bytes(), counted) << name << " took more than it says";
}

TEST(Executable, CountsTheScratchMemoryOfProducts) {
  for (const DType type : kTypes) {
    for (const std::int64_t N : {3, 130, 3000}) {
      HostMatrix x(type, N, 48, 1), w(type, 96, 48, 2), y(type, N, 96, 3), pre(type, N, 48, 4);
      HostMatrix dw(DType::float32, 96, 48, 5);
      std::vector<float> bias = random_floats(96, 6);
      expect_counted(Linear{x.view(), w.view(), array_of(bias), Activation::gelu_sigmoid, {}, y.view()}, 1);
      expect_counted(LinearBackwardData{y.view(), w.view(), pre.view(), x.view()}, 1);
      // Few rows are summed where they belong, without a place between.
      expect_counted(LinearBackwardWeights{y.view(), x.view(), dw.view(), array_of(bias)}, N > 1024 ? 1 : 0);
    }
  }
}

TEST(Executable, CountsTheScratchMemoryOfTheLoss) {
  StepInputs inputs;
  inputs.loss_gradient = 0.5f;
  for (const DType type : kTypes) {
    for (const bool backward : {false, true}) {
      HostMatrix x(type, 150, 8, 1), w(type, 300, 8, 2), dx(type, 150, 8, 3), dw(DType::float32, 300, 8, 4);
      std::vector<std::int32_t> targets(150, 7);
      std::vector<float> losses(150);
      VocabularyLoss op;
      op.x = x.view(), op.w = w.view(), op.targets = array_of(targets), op.losses = array_of(losses);
      if (backward) op.dx = dx.view(), op.dw = dw.view();
      expect_counted(op, 1, inputs);
    }
  }
}

TEST(Executable, CountsTheScratchMemoryOfNorms) {
  HostMatrix h(DType::float32, 300, 70, 1), y(DType::float32, 300, 70, 2), branch(DType::float32, 300, 70, 3);
  std::vector<float> weight = random_floats(70, 4), bias = random_floats(70, 5), mean(300), rstd(300);
  const Dropout dropout{0.4f, 1, 2, 1, 0};
  expect_counted(ResidualNorm{h.view(), branch.view(), dropout, h.view(), array_of(weight), array_of(bias), 1e-5f,
                              y.view(), array_of(mean), array_of(rstd)},
                 0);
  std::vector<float> dweight(70), dbias(70);
  expect_counted(ResidualNormBackward{y.view(),
                                      h.view(),
                                      array_of(mean),
                                      array_of(rstd),
                                      array_of(weight),
                                      {},
                                      h.view(),
                                      branch.view(),
                                      dropout,
                                      array_of(dweight),
                                      array_of(dbias)},
                 1);
}

TEST(Executable, CountsTheScratchMemoryOfAttention) {
  for (const std::int64_t H : {1, 8})
    for (const DType type : kTypes) {
      const AttentionCase c = attention_case({"strided(16)"}, 1, 333, H, 20, 33);
      AttentionMatrices matrices(c, type);
      expect_counted(matrices.forward(), 1);
      expect_counted(matrices.backward(), 1);
    }
}

// One program of all of them needs what the largest needs: they run one after another.
TEST(Executable, NeedsTheScratchMemoryOfItsLargestOperation) {
  HostMatrix x(DType::float32, 130, 48, 1), w(DType::float32, 96, 48, 2), y(DType::float32, 130, 96, 3);
  HostMatrix dw(DType::float32, 96, 48, 4);
  const Linear forward{x.view(), w.view(), {}, Activation::none, {}, y.view()};
  const LinearBackwardWeights backward{y.view(), x.view(), dw.view(), {}};
  Program both;
  both.add(forward), both.add(backward);
  CpuShared shared;
  const CpuExecutable executable(std::move(both), shared);
  EXPECT_EQ(executable.workspace_bytes(), std::max(workspace_of(forward), workspace_of(backward)));
}

TEST(Executable, ByACrewTakesItsScratchMemoryOnce) {
  HostMatrix x(DType::bfloat16, 3, 48, 1), w(DType::bfloat16, 96, 48, 2), y(DType::bfloat16, 3, 96, 3);
  Program program;
  program.add(Linear{x.view(), w.view(), {}, Activation::none, {}, y.view()});
  CpuShared shared;
  CpuExecutable executable(std::move(program), shared);
  executable.bind(nullptr);
  executable.run();
  const std::int64_t taken = shared.workspace.reserved_bytes();
  EXPECT_GT(taken, 0);
  executable.run();
  EXPECT_EQ(shared.workspace.reserved_bytes(), taken);
}

// Compiled for one number of threads, run on another: the same bits, and memory for the threads there are.
TEST(Executable, RunsOnOtherThreadsThanItWasCompiledFor) {
  const AttentionCase c = attention_case({"strided(16)", "dense"}, 2, 333, 4, 20, 33);
  for (const DType type : kTypes) {
    definitions::Values first;
    for (const int compiled : {1, 3}) {
      for (const int run : {3, 1}) {
        AttentionMatrices matrices(c, type);
        HostMatrix x(type, 300, 48, 1), w(type, 96, 48, 2), y(type, 300, 96, 3), dw(DType::float32, 96, 48, 4);
        std::vector<float> norm_scale(1), dbias(96);
        std::vector<double> norm(1), squares(1);
        CpuBackend backend;
        set_threads(compiled);
        const auto executable =
            compile_bound(backend, {matrices.forward(), matrices.backward(),
                                    Linear{x.view(), w.view(), {}, Activation::gelu_sigmoid, {}, y.view()},
                                    LinearBackwardWeights{y.view(), x.view(), dw.view(), array_of(dbias)},
                                    SquareSums{array_of(dbias), array_of(squares)},
                                    GradientNorm{array_of(squares), {}, 1, array_of(norm), array_of(norm_scale)}});
        set_threads(run);
        executable->run();
        set_threads(0);
        definitions::Values all = matrices.result().out;
        for (const definitions::Values& part : {matrices.result().dq, matrices.result().dk, matrices.result().dv,
                                                y.values(), dw.values(), as_values(dbias), norm})
          append(all, part);
        if (first.empty()) first = all;
        expect_same_bits(all, first, "compiled for " + std::to_string(compiled) + ", run on " + std::to_string(run));
      }
    }
  }
}

}  // namespace
}  // namespace longstride::cpu
