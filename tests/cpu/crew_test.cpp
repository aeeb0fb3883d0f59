// A list of operations on all threads against the same operations one after another.
#include <gtest/gtest.h>

#include "every_isa.h"

namespace longstride::tests {
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
      norm.weight = norm.bias = bias.data();
      norm.eps = 1e-5f;
      norm.y = y.view();
      norm.mean = statistics.data();
      norm.rstd = statistics.data() + B;
      program.emplace_back(norm);
      program.emplace_back(Linear{y.view(), expand.view(), bias.data(), Activation::gelu_sigmoid, {}, hidden.view()});
      program.emplace_back(Linear{hidden.view(), contract.view(), nullptr, Activation::none, {}, branch.view()});
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

TEST(Program, IsItsOperationsOneAfterAnotherToTheBit) {
  const auto backend = make_cpu_backend();
  for_every_isa([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const auto& [B, C] : {std::pair{1, 96}, std::pair{5, 130}, std::pair{17, 64}, std::pair{2, 8}}) {
        const std::string what = isa + " " + word(type) + " B " + std::to_string(B) + " C " + std::to_string(C);
        const definitions::Values got = same_for_any_threads(what, [&] {
          Blocks blocks(type, B, C, 20);
          run(*backend, blocks.program);
          return blocks.results();
        });
        Blocks blocks(type, B, C, 20);
        backend->Backend::run(blocks.program);
        expect_same_bits(got, blocks.results(), what);
      }
    }
  });
}

TEST(Program, OfManyRowsRunsToo) {
  const auto backend = make_cpu_backend();
  Blocks in_turn(DType::float32, 70, 16, 2), blocks(DType::float32, 70, 16, 2);
  backend->Backend::run(in_turn.program);
  run(*backend, blocks.program);
  expect_same_bits(blocks.results(), in_turn.results(), "70 rows");
}

TEST(Program, ManyShortOnesFollowOneAnother) {  // threads come late, sleep and wake between them
  const auto backend = make_cpu_backend();
  Blocks one(DType::float32, 1, 96, 2), other(DType::float32, 1, 96, 2);
  for (const int threads : {1, 3}) {
    set_threads(threads);
    for (int turn = 0; turn < 3000; ++turn) run(*backend, threads == 1 ? one.program : other.program);
  }
  set_threads(0);
  expect_same_bits(other.results(), one.results(), "3000 programs");
}

}  // namespace
}  // namespace longstride::tests
