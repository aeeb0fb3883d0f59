// These tests hold a list of operations by a crew of threads against the same operations one after another.
#include "cpu/crew.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cpu/every_isa.h"
#include "cpu/rising_number.h"
#include "ops/backend.h"

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
      norm.weight = norm.bias = array_of(bias).from(0, C);
      norm.eps = 1e-5f;
      norm.y = y.view();
      norm.mean = array_of(statistics).from(0, B);
      norm.rstd = array_of(statistics).from(B);
      program.emplace_back(norm);
      program.emplace_back(
          Linear{y.view(), expand.view(), array_of(bias), Activation::gelu_sigmoid, {}, hidden.view()});
      program.emplace_back(Linear{hidden.view(), contract.view(), {}, Activation::none, {}, branch.view()});
    }
  }
  definitions::Values results() {
    definitions::Values all = h.values();
    append(all, branch.values());
    return all;
  }
  void run(Backend& backend) { compile_bound(backend, program)->run(); }
  // A mark is told of where everything before is done: no crew runs a program that has one.
  void run_in_turn(Backend& backend) {
    std::vector<Operation> marked = program;
    marked.emplace_back(Mark{});
    EXPECT_FALSE(cpu::Crew::can_run(marked));
    compile_bound(backend, marked)->run();
  }

  HostMatrix h, y, hidden, branch, expand, contract;
  std::vector<float> bias, statistics;
  std::vector<Operation> program;
};

TEST(Crew, RunsOperationsAsOneAfterAnotherToTheBit) {
  const auto backend = make_cpu_backend();
  for_every_isa([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const auto& [B, C] : {std::pair{1, 96}, std::pair{5, 130}, std::pair{17, 64}, std::pair{2, 8}}) {
        const std::string what = isa + " " + word(type) + " B " + std::to_string(B) + " C " + std::to_string(C);
        const definitions::Values got = same_for_any_threads(what, [&] {
          Blocks blocks(type, B, C, 20);
          EXPECT_TRUE(cpu::Crew::can_run(blocks.program));
          blocks.run(*backend);
          return blocks.results();
        });
        Blocks in_turn(type, B, C, 20), alone(type, B, C, 20);
        in_turn.run_in_turn(*backend);
        expect_same_bits(got, in_turn.results(), what);
        for (const Operation& operation : alone.program) run_once(*backend, operation);
        expect_same_bits(got, alone.results(), what + ", each a program of its own");
      }
    }
  });
}

TEST(Crew, LeavesManyRowsToOthers) {
  const auto backend = make_cpu_backend();
  Blocks in_turn(DType::float32, 70, 16, 2), blocks(DType::float32, 70, 16, 2);
  EXPECT_FALSE(cpu::Crew::can_run(blocks.program));
  in_turn.run_in_turn(*backend);
  blocks.run(*backend);
  expect_same_bits(blocks.results(), in_turn.results(), "70 rows");
}

TEST(Crew, RunsManyShortProgramsOneAfterAnother) {  // threads come late, sleep and wake between them
  const auto backend = make_cpu_backend();
  Blocks one(DType::float32, 1, 96, 2), other(DType::float32, 1, 96, 2);
  for (const int threads : {1, 3}) {
    set_threads(threads);
    const auto executable = compile_bound(*backend, threads == 1 ? one.program : other.program);
    for (int turn = 0; turn < 3000; ++turn) executable->run();
  }
  set_threads(0);
  expect_same_bits(other.results(), one.results(), "3000 programs");
}

// One product, so that the end of the program is what comes next; more threads than cores, so that the system puts to
// sleep who is about to say that an operation is open.
TEST(Crew, EndsAProgramHoweverLateAThreadIs) {
  const auto backend = make_cpu_backend();
  Blocks blocks(DType::float32, 1, 96, 1);
  const Operation product = blocks.program[1];
  set_threads(8);
  const auto executable = compile_bound(*backend, std::vector{product});
  for (int turn = 0; turn < 3000; ++turn) executable->run();
  set_threads(0);
  const definitions::Values many = blocks.hidden.values();
  run_once(*backend, product);
  expect_same_bits(blocks.hidden.values(), many, "3000 programs");
}

TEST(RisingNumber, StaysWhereWhoComesLateHasLess) {
  cpu::RisingNumber number;
  number.raise_to(5);
  number.raise_to(3);
  EXPECT_EQ(number.now(), 5u);
  for (const std::uint32_t far : {0x7fffffffu, 0xfffffffeu, 2u}) {  // and round
    number.raise_to(far);
    EXPECT_EQ(number.now(), far);
  }
  number.raise_to(0xfffffffeu);
  EXPECT_EQ(number.now(), 2u);
}

TEST(RisingNumber, WakesAllThatWaitForIt) {
  cpu::RisingNumber number;
  std::vector<std::thread> waiting;
  for (int i = 0; i < 3; ++i) waiting.emplace_back([&] { number.wait(0); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // most of them sleep by now
  number.raise_to(1);
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(number.now(), 1u);
}

// Executables of one backend share its crew: that one was made for other threads, or is over, is no matter.
TEST(Crew, IsSharedByExecutablesWhateverTheThreads) {
  const auto backend = make_cpu_backend();
  Blocks first(DType::float32, 2, 96, 3), second(DType::float32, 1, 130, 3);
  Blocks first_in_turn(DType::float32, 2, 96, 3), second_in_turn(DType::float32, 1, 130, 3);
  {
    const auto of_first = compile_bound(*backend, first.program);
    auto of_second = compile_bound(*backend, second.program);
    for (const int threads : {3, 1, 2, 3}) {
      set_threads(threads);
      of_first->run();
      if (of_second) of_second->run();
      if (threads == 1) of_second.reset();
    }
    set_threads(0);
  }
  for (int turn = 0; turn < 4; ++turn) first_in_turn.run_in_turn(*backend);
  for (int turn = 0; turn < 2; ++turn) second_in_turn.run_in_turn(*backend);
  expect_same_bits(first.results(), first_in_turn.results(), "first");
  expect_same_bits(second.results(), second_in_turn.results(), "second");
}

}  // namespace
}  // namespace longstride::tests
