// These tests read the training pass as a list of operations: when is a gradient final?
#include "model/network_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/small_model.h"

namespace longstride {
namespace {

// Elements [begin, end) of the parameters' store that operation `at` changes.
struct Change {
  std::size_t at;
  std::int64_t begin, end;
};

// Bytes from an operand's first element to the end of its last.
template <class T>
std::int64_t extent(const Array<T>& operand) {
  return operand.count * static_cast<std::int64_t>(sizeof(T));
}
std::int64_t extent(const Matrix& m) { return ((m.rows - 1) * m.stride + m.cols) * size_of(m.type); }
std::int64_t extent(const Heads& h) { return (h.offset(h.B - 1, h.T - 1, h.H - 1) + h.D) * size_of(h.type); }

std::vector<Change> changes_of(const std::vector<float>& gradients, std::span<const Operation> operations) {
  const auto first = reinterpret_cast<std::uintptr_t>(gradients.data());
  const std::uintptr_t last = first + gradients.size() * 4;
  std::vector<Change> changes;
  for (std::size_t at = 0; at < operations.size(); ++at) {
    each_operand(operations[at], [&](Use use, const auto& operand) {
      if (!operand || operand.place.buffer >= 0 || use == Use::reads) return;
      const auto begin = reinterpret_cast<std::uintptr_t>(operand.data);
      if (begin < first || begin >= last) return;
      const auto from = static_cast<std::int64_t>(begin - first);
      changes.push_back({at, from / 4, (from + extent(operand)) / 4});
      EXPECT_LE(changes.back().end, std::ssize(gradients)) << name_of(operations[at]);
    });
  }
  return changes;
}

struct Told {
  std::size_t at;
  Mark mark;
};

std::vector<Told> marks_of(std::span<const Operation> operations) {
  std::vector<Told> marks;
  for (std::size_t at = 0; at < operations.size(); ++at)
    if (const Mark* mark = std::get_if<Mark>(&operations[at])) marks.push_back({at, *mark});
  return marks;
}

void expect_partition(std::vector<Told> marks, std::int64_t elements) {
  for (std::size_t order = 0; order < marks.size(); ++order) {
    EXPECT_EQ(marks[order].mark.what, Mark::What::gradient_final);
    EXPECT_EQ(marks[order].mark.block, static_cast<std::int64_t>(order));
  }
  const auto before = [](const Told& a, const Told& b) { return a.mark.begin < b.mark.begin; };
  std::sort(marks.begin(), marks.end(), before);
  std::int64_t end = 0;
  for (const Told& told : marks) {
    EXPECT_EQ(told.mark.begin, end);
    EXPECT_LT(told.mark.begin, told.mark.end);
    end = told.mark.end;
  }
  EXPECT_EQ(end, elements);
}

void expect_final(const ModelConfig& model, const NetworkShape& shape) {
  const ParameterTable table(model);
  const auto elements = static_cast<std::size_t>(table.store_elements());
  std::vector<float> values(elements), gradients(elements);
  std::vector<std::uint16_t> rounded(elements);
  double bits = 0;
  const HeadTilings tilings(model, shape.tokens);
  const NetworkProgram made = training_program(model, shape, {&table, values.data(), rounded.data()},
                                               {{&table, gradients.data(), nullptr}, array(&bits, 1)}, tilings);
  const std::span<const Operation> operations = made.program.operations();
  const std::vector<Change> changes = changes_of(gradients, operations);
  const std::vector<Told> marks = marks_of(operations);
  ASSERT_EQ(std::ssize(marks), model.layers + 2);  // what follows the blocks, each block, the embeddings
  expect_partition(marks, table.store_elements());
  for (const Told& told : marks) {
    for (const Change& change : changes) {
      const bool apart = change.end <= told.mark.begin || told.mark.end <= change.begin;
      EXPECT_TRUE(apart || change.at < told.at) << name_of(operations[change.at]) << ", operation " << change.at
                                                << ", after mark " << told.mark.block << " at " << told.at;
    }
  }
  for (const Parameter& p : table.entries()) {  // the list of changes is of all gradients
    EXPECT_TRUE(std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
      return change.begin <= p.offset && p.offset + p.count <= change.end;
    })) << p.name;
  }
}

// The paper drops from both branches of every block: each has random numbers of its own, on the way back the same.
TEST(TrainingProgram, DropsFromEachBranchByNumbersOfItsOwn) {
  ModelConfig model;
  model.context = 16;
  model.layers = 3;
  model.width = 24;
  model.heads = 3;
  model.positions = {4, 4};
  model.attention = read_attention("fixed(4,1)");
  const ParameterTable table(model);
  std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
  const HeadTilings tilings(model, model.context);
  const Weights weights{&table, store.data(), nullptr};
  NetworkShape shape{1, model.context, DType::float32, true};
  shape.dropout = 0.5f;
  const NetworkProgram made = training_program(model, shape, weights, {weights, {}}, tilings);
  using Branch = std::pair<int, int>;  // block, and 0 attention or 1 feedforward
  std::vector<Branch> forward, backward;
  for (const Operation& operation : made.program.operations()) {
    if (const auto* norm = std::get_if<ResidualNorm>(&operation); norm != nullptr && norm->branch)
      forward.emplace_back(norm->dropout.layer, norm->dropout.site);
    if (const auto* norm = std::get_if<ResidualNormBackward>(&operation); norm != nullptr && norm->dbranch)
      backward.emplace_back(norm->dropout.layer, norm->dropout.site);
  }
  EXPECT_EQ(forward, (std::vector<Branch>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}}));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(backward, forward);
}

TEST(LossProgram, OfANetworkThatTrainsDropsNothing) {
  ModelConfig model;
  model.context = 16;
  model.layers = 2;
  model.width = 24;
  model.heads = 3;
  model.positions = {4, 4};
  model.attention = read_attention("fixed(4,1)");
  const ParameterTable table(model);
  const HeadTilings tilings(model, model.context);
  NetworkShape shape{1, model.context, DType::float32, true};
  shape.dropout = 0.5f;
  const NetworkProgram made = loss_program(model, shape, 1, {&table, nullptr, nullptr}, tilings);
  int norms = 0;
  for (const Operation& operation : made.program.operations())
    if (const auto* norm = std::get_if<ResidualNorm>(&operation)) {
      EXPECT_EQ(norm->dropout.rate, 0);
      ++norms;
    }
  EXPECT_EQ(norms, 5);
}

TEST(TrainingProgram, ChangesNoGradientThatItHasSaidToBeFinal) {
  for (const char* attention : {"fixed(8,2)", R"j(["local(6)", "column(7)"])j"}) {
    for (const std::int64_t layers : {1, 2, 3}) {
      ModelConfig model = small_model(attention, layers);
      model.feedforward = 4;
      model.query_key = 1;
      model.hash_orders = {2, 4};
      model.hash_buckets = 23;
      model.convolution = 3;
      for (const DType type : {DType::float32, DType::bfloat16})
        for (const bool recompute : {false, true})
          for (const std::int64_t rows : {std::int64_t{40}, kRowsAtOnce})
            expect_final(model, {2, 45, type, true, recompute, rows});
    }
  }
}

}  // namespace
}  // namespace longstride
