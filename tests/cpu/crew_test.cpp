// A list of operations on all threads against the same operations one after another.
#include <gtest/gtest.h>

#include "every_isa.h"
#include "ops/array_of.h"

namespace longstride::tests {

using namespace cpu;
namespace {

// Blocks of norm, expand and contract on B rows of C channels; `count` of them, each after the last. Large enough for
// threads, except where C is small.
struct Blocks {
  Blocks(DType type, std::int64_t B, std::int64_t C, int count)
      : h(DType::float32, B, C, 1),
        y(type, B, C, 2),
        hidden(type, B, 4 * C, 3),
        branch(type, B, C, 4),
        expand(type, 4 * C, C, 5),
        contract(type, C, 4 * C, 6),
        bias(random_floats(4 * C, 7)),
        statistics(static_cast<std::size_t>(2 * B)) {
    for (int block = 0; block < count; ++block) {
      ResidualNorm norm;
      norm.h_in = norm.h_out = h.view();
      norm.branch = branch.view();
      norm.weight = norm.bias = of(bias).from(0, C);
      norm.eps = 1e-5f;
      norm.y = y.view();
      norm.mean = of(statistics).from(0, B);
      norm.rstd = of(statistics).from(B);
      program.emplace_back(norm);
      program.emplace_back(Linear{y.view(), expand.view(), of(bias), Activation::gelu_sigmoid, {}, hidden.view()});
      program.emplace_back(Linear{hidden.view(), contract.view(), {}, Activation::none, {}, branch.view()});
    }
  }
  definitions::Values results() {
    definitions::Values all = h.values();
    append(all, branch.values());
    return all;
  }

  HostMatrix h, y, hidden, branch, expand, contract;
  std::vector<float> bias, statistics;
  std::vector<Operation> program;
};

// A Mark lies between operations: then a crew cannot take them.
void run_in_turn(Backend& backend, const std::vector<Operation>& program) {
  for (const Operation& operation : program) compile_bound(backend, {operation, Mark{}})->run();
}

TEST(Crew, IsItsOperationsOneAfterAnotherToTheBit) {
  const auto backend = make_backend(Device::cpu);
  for_every_isa([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const auto& [B, C] : {std::pair{1, 96}, std::pair{5, 130}, std::pair{17, 64}, std::pair{2, 8}}) {
        const std::string what = isa + " " + word(type) + " B " + std::to_string(B) + " C " + std::to_string(C);
        const definitions::Values got = same_for_any_threads(what, [&] {
          Blocks blocks(type, B, C, 20);
          compile_bound(*backend, blocks.program)->run();
          return blocks.results();
        });
        Blocks blocks(type, B, C, 20);
        run_in_turn(*backend, blocks.program);
        expect_same_bits(got, blocks.results(), what);
      }
    }
  });
}

TEST(Crew, OfManyRowsRunsToo) {
  const auto backend = make_backend(Device::cpu);
  Blocks in_turn(DType::float32, 70, 16, 2), blocks(DType::float32, 70, 16, 2);
  run_in_turn(*backend, in_turn.program);
  compile_bound(*backend, blocks.program)->run();
  expect_same_bits(blocks.results(), in_turn.results(), "70 rows");
}

TEST(Crew, ManyShortOnesFollowOneAnother) {  // threads come late, sleep and wake between them
  const auto backend = make_backend(Device::cpu);
  Blocks one(DType::float32, 1, 96, 2), other(DType::float32, 1, 96, 2);
  for (const int threads : {1, 3}) {
    set_threads(threads);
    const auto executable = compile_bound(*backend, threads == 1 ? one.program : other.program);
    for (int turn = 0; turn < 3000; ++turn) executable->run();
  }
  set_threads(0);
  expect_same_bits(other.results(), one.results(), "3000 programs");
}

}  // namespace
}  // namespace longstride::tests
