// These tests hold a program whose way back sums in passing to its operations one by one: the same bits, and the same
// scratch memory whether there are addresses or not. Where something between forbids it, nothing is summed in passing.
#include "cuda/passing_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "host_matrix.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace longstride::tests {
namespace {

// The way back through a layer that expands, activates and contracts, as blocks have it (model/block.cpp).
struct Back {
  static constexpr std::int64_t N = 300, C = 6, F = 140;  // rows of two chunks, and of a last one that is short
  Program program;
  Matrix dy, wide, narrow, pre, hidden, x, dhidden, dx, dcontract, dexpand;
  Array<float> contract_bias, expand_bias;

  explicit Back(DType type) {
    const auto lasting = [&](const char* name, DType of, std::int64_t rows, std::int64_t cols) {
      return program.matrix(name, Life::lasting, of, rows, cols);
    };
    dy = lasting("dy", type, N, C), wide = lasting("contract", type, C, F), narrow = lasting("expand", type, F, C);
    pre = lasting("pre", type, N, F), hidden = lasting("hidden", type, N, F), x = lasting("x", type, N, C);
    dhidden = lasting("dhidden", type, N, F), dx = lasting("dx", type, N, C);
    dcontract = lasting("dcontract", DType::float32, C, F), dexpand = lasting("dexpand", DType::float32, F, C);
    contract_bias = program.array<float>("contract bias", Life::lasting, C);
    expand_bias = program.array<float>("expand bias", Life::lasting, F);
  }
  std::vector<Operation> operations() const {
    return {LinearBackwardData{dy, wide, pre, dhidden}, LinearBackwardWeights{dy, hidden, dcontract, contract_bias},
            Mark{}, LinearBackwardData{dhidden, narrow, {}, dx},
            LinearBackwardWeights{dhidden, x, dexpand, expand_bias}};
  }
};

// All that the way back leaves, by one program or by one an operation.
definitions::Values run_back(DType type, bool one_by_one) {
  const auto backend = make_backend(Device::cuda);
  Back back(type);
  for (const Operation& operation : back.operations()) back.program.add(operation);
  const auto executable = backend->compile(std::move(back.program));
  const Buffer arena(*backend, executable->arena_bytes());
  executable->bind(arena.data());
  const Program& program = executable->program();
  std::int64_t seed = 1;
  for (const Matrix& given :
       {back.dy, back.wide, back.narrow, back.pre, back.hidden, back.x, back.dcontract, back.dexpand}) {
    HostMatrix host(given.type, given.rows, given.cols, seed++);
    backend->upload(program.bound(given).data, host.view().data, bytes_of(given));
  }
  for (const Array<float>& given : {back.contract_bias, back.expand_bias}) {
    const std::vector<float> host = random_floats(given.count, seed++);
    backend->upload(program.bound(given).data, host.data(), bytes_of(given));
  }
  if (one_by_one) {
    for (const Operation& operation : program.operations()) {
      Operation bound = operation;
      each_operand(bound, [](Use, auto& operand) { operand.place = {}; });
      run_once(*backend, bound);
    }
  } else {
    executable->run();
  }
  definitions::Values all;
  const auto take = [&](const void* data, std::int64_t count) {
    std::vector<float> host(static_cast<std::size_t>(count));
    backend->download(host.data(), data, count * 4);
    all.insert(all.end(), host.begin(), host.end());
  };
  take(program.bound(back.dexpand).data, Back::F * Back::C),
      take(program.bound(back.dcontract).data, Back::C * Back::F);
  take(program.bound(back.expand_bias).data, Back::F), take(program.bound(back.contract_bias).data, Back::C);
  for (const Matrix& made : {back.dhidden, back.dx}) {
    HostMatrix host = HostMatrix::of_nothing(made.type, made.rows, made.cols);
    backend->download(host.view().data, program.bound(made).data, bytes_of(made));
    append(all, host.values());
  }
  return all;
}

TEST(PassingSums, GiveTheBitsOfTheOperationsOneByOne) {
  for (const DType type : kTypes) {
    const definitions::Values one_by_one = run_back(type, true);
    EXPECT_GT(std::abs(one_by_one[static_cast<std::size_t>(2 * Back::F * Back::C)]), 0);
    expect_same_bits(run_back(type, false), one_by_one, word(type));
  }
}

TEST(PassingSums, AreMadeWhereNothingBetweenForbidsThem) {
  const Back back(DType::float32);
  const cuda::PassingSums sums = cuda::passing_sums(back.operations());
  EXPECT_EQ(sums.of, (std::vector<std::size_t>{4, 0, 0, 0, 0}));
  EXPECT_EQ(sums.taken, (std::vector<bool>{false, false, false, false, true}));
}

TEST(PassingSums, AreNotMadeOfWhatChangesOrIsReadBefore) {
  const Back back(DType::float32);
  const auto made = [](const std::vector<Operation>& operations) {
    for (const std::size_t later : cuda::passing_sums(operations).of)
      if (later != 0) return true;
    return false;
  };
  const auto with = [&](const Operation& between) {
    std::vector<Operation> operations = back.operations();
    operations.insert(operations.begin() + 2, between);
    return operations;
  };
  EXPECT_TRUE(made(with(Mark{})));
  EXPECT_FALSE(made(with(Zero{back.contract_bias}))) << "others than products may do anything";
  EXPECT_FALSE(made(with(LinearBackwardData{back.dy, back.wide, {}, back.dhidden}))) << "dhidden is another one";
  EXPECT_FALSE(
      made(with(LinearBackwardWeights{back.dy, back.hidden, back.dcontract, back.expand_bias.from(0, Back::C)})))
      << "the bias's gradient has another part";
  std::vector<Operation> without = back.operations();
  std::get<LinearBackwardData>(without[0]).pre = {};
  EXPECT_FALSE(made(without)) << "there is no slope";
  without = back.operations();
  std::get<LinearBackwardWeights>(without[4]).dy = back.dhidden.rows_from(0, Back::N - 1);
  EXPECT_FALSE(made(without)) << "other rows are summed";
  without = back.operations();
  std::get<LinearBackwardWeights>(without[4]).dbias = {};
  EXPECT_FALSE(made(without));
}

// What is planned has no address outside of the program, and takes what is run.
TEST(PassingSums, AreKnownBeforeThereAreAddresses) {
  Back back(DType::float32);
  std::vector<Operation> operations = back.operations();
  Array<float>& dbias = std::get<LinearBackwardWeights>(operations[4]).dbias;
  std::vector<float> outside(Back::F);
  dbias = array(outside.data(), Back::F);
  const std::vector<std::size_t> run = cuda::passing_sums(operations).of;
  dbias.data = nullptr;
  EXPECT_EQ(cuda::passing_sums(operations).of, run);
  EXPECT_EQ(run[0], 4u);
}

}  // namespace
}  // namespace longstride::tests
