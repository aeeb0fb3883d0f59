// These tests count and initialise the parameters of the paper's models.
#include "model/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "longstride/config.h"

namespace longstride {
namespace {

ModelConfig shape(std::int64_t layers, std::int64_t width, std::int64_t heads, double feedforward, double query_key,
                  std::vector<std::int64_t> positions) {
  ModelConfig model;
  model.layers = layers;
  model.width = width;
  model.heads = heads;
  model.feedforward = feedforward;
  model.query_key = query_key;
  model.positions = std::move(positions);
  model.context = 1;
  for (const std::int64_t extent : model.positions) model.context *= extent;
  model.attention.blocks = {{parse_pattern("dense")}};
  return model;
}

TEST(ParameterTable, CountsTheParametersOfThePapersModels) {
  EXPECT_EQ(ParameterTable(shape(128, 256, 2, 2, 0.5, {32, 32, 3})).count(), 59196928);
  EXPECT_EQ(ParameterTable(shape(30, 512, 8, 4, 1, {96, 128})).count(), 94949888);
  EXPECT_EQ(ParameterTable(shape(48, 512, 16, 4, 1, {64, 64, 3})).count(), 151645184);
  EXPECT_EQ(ParameterTable(shape(96, 512, 16, 4, 1, {64, 64, 3})).count(), 302959616);
}

std::int64_t parameters_of(const char* preset) {
  return ParameterTable(read_config({preset_json(preset)}, {preset}, {}).model).count();
}

TEST(ParameterTable, CountsThePresetsParameters) {
  EXPECT_EQ(parameters_of("enwik8"), 94949888);
  EXPECT_EQ(parameters_of("cifar10"), 59196928);
  EXPECT_EQ(parameters_of("imagenet64"), 151645184);
  // The paper, table 4, gives whole millions.
  EXPECT_NEAR(static_cast<double>(parameters_of("music-65k")), 152e6, 0.5e6);
  EXPECT_NEAR(static_cast<double>(parameters_of("music-262k")), 25e6, 0.7e6);
  EXPECT_NEAR(static_cast<double>(parameters_of("music-1m")), 3e6, 0.5e6);
}

TEST(ParameterTable, PutsEveryTensorOnItsOwnElementsAndTheThreeProductsSideBySide) {
  const ParameterTable table(shape(3, 20, 4, 1.5, 0.6, {5, 7}));
  std::int64_t end = 0;
  for (const Parameter& entry : table.entries()) {
    EXPECT_GE(entry.offset, end) << entry.name;
    end = entry.offset + entry.count;
  }
  EXPECT_LE(end, table.store_elements());
  const Parameter* query = table.find("blocks.1.attention.query.weight");
  ASSERT_NE(query, nullptr);
  EXPECT_EQ(query->offset, table.blocks[1].qkv_weight);
  EXPECT_EQ(table.find("blocks.1.attention.key.weight")->offset, query->offset + query->count);
  EXPECT_EQ(table.find("blocks.1.attention.value.weight")->offset, query->offset + 2 * query->count);
  EXPECT_EQ(table.find("nothing"), nullptr);
}

TEST(ParameterTable, DecaysWhatHasTwoDimensionsAndNothingElse) {
  const ParameterTable table(shape(2, 8, 2, 2, 1, {4, 4}));
  for (const Parameter& entry : table.entries()) EXPECT_EQ(entry.decay, entry.shape.size() == 2) << entry.name;
}

TEST(ParameterTable, HoldsATableForEachHashOrderThatDoesNotDecayAndMovesByRows) {
  ModelConfig model = shape(2, 8, 2, 2, 1, {4, 4});
  const std::int64_t without = ParameterTable(model).count();
  model.hash_orders = {2, 5};
  model.hash_buckets = 1001;
  const ParameterTable table(model);
  EXPECT_EQ(table.count(), without + 2 * 1001 * 8);
  const Parameter* five = table.find("hash_embedding.5.weight");
  ASSERT_NE(five, nullptr);
  EXPECT_EQ(five->offset, table.hash_embeddings[1]);
  EXPECT_EQ(five->shape, (std::vector<std::int64_t>{1001, 8}));
  EXPECT_EQ(five->part, "embeddings");
  for (const Parameter& entry : table.entries()) {
    EXPECT_EQ(entry.by_rows, entry.name.starts_with("hash_embedding.")) << entry.name;
    EXPECT_EQ(entry.decay, entry.shape.size() == 2 && !entry.by_rows) << entry.name;
  }
}

TEST(ParameterTable, HoldsAKernelOfTheConvolutionWhereThereIsOne) {
  ModelConfig model = shape(2, 8, 2, 2, 1, {4, 4});
  EXPECT_EQ(ParameterTable(model).find("token_convolution.weight"), nullptr);
  const std::int64_t without = ParameterTable(model).count();
  model.convolution = 9;
  const ParameterTable table(model);
  EXPECT_EQ(table.count(), without + 9 * 8);
  const Parameter* kernel = table.find("token_convolution.weight");
  ASSERT_NE(kernel, nullptr);
  EXPECT_EQ(kernel->offset, table.token_convolution);
  EXPECT_EQ(kernel->shape, (std::vector<std::int64_t>{9, 8}));
  EXPECT_DOUBLE_EQ(kernel->deviation, 1.0 / 3);
}

// Deviation of a sample of k normal numbers lies within 5 standard errors, sigma / sqrt(2 k), of sigma.
void expect_deviation(const ParameterTable& table, const std::vector<float>& store, const char* name, double sigma) {
  const Parameter* entry = table.find(name);
  ASSERT_NE(entry, nullptr) << name;
  double sum = 0, squares = 0;
  for (std::int64_t e = 0; e < entry->count; ++e) {
    sum += store[static_cast<std::size_t>(entry->offset + e)];
    squares += std::pow(store[static_cast<std::size_t>(entry->offset + e)], 2);
  }
  const auto k = static_cast<double>(entry->count);
  EXPECT_NEAR(std::sqrt(squares / k), sigma, 5 * sigma / std::sqrt(2 * k)) << name;
  EXPECT_NEAR(sum / k, 0, 5 * sigma / std::sqrt(k)) << name;
}

TEST(Initialise, DrawsEveryTensorFromItsDistributionInBothReadings) {
  for (const auto reading : {Initialisation::variance, Initialisation::paper}) {
    ModelConfig model = shape(2, 64, 2, 4, 1, {8, 8});
    model.initialisation = reading;
    const ParameterTable table(model);
    std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
    initialise(table, 3, store.data());
    const auto linear = [&](double fan_in) {
      return reading == Initialisation::paper ? 0.125 / std::sqrt(fan_in) : std::sqrt(0.125 / fan_in);
    };
    expect_deviation(table, store, "blocks.1.attention.query.weight", linear(64));
    expect_deviation(table, store, "blocks.0.attention.projection.weight", linear(64) / 2);
    expect_deviation(table, store, "blocks.0.feedforward.expand.weight", linear(64));
    expect_deviation(table, store, "blocks.0.feedforward.contract.weight", linear(256) / 2);
    expect_deviation(table, store, "token_embedding.weight", 0.125 / 8);
    expect_deviation(table, store, "position_embedding.1.weight", 0.125 / std::sqrt(128.0));
    expect_deviation(table, store, "start", 0.125 / 8);
    for (const char* zero : {"output.weight", "blocks.0.attention.query.bias", "final_norm.bias"}) {
      const Parameter* entry = table.find(zero);
      for (std::int64_t e = 0; e < entry->count; ++e)
        ASSERT_EQ(store[static_cast<std::size_t>(entry->offset + e)], 0.0f);
    }
    EXPECT_EQ(store[static_cast<std::size_t>(table.find("final_norm.weight")->offset)], 1.0f);
  }
}

TEST(Initialise, OfGpt2HasOneDeviationForAllWeightsAndAnOutputThatIsNotZero) {
  ModelConfig model = shape(2, 64, 2, 4, 1, {8, 8});
  model.initialisation = Initialisation::gpt2;
  const ParameterTable table(model);
  std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
  initialise(table, 3, store.data());
  for (const char* name :
       {"token_embedding.weight", "position_embedding.0.weight", "blocks.1.feedforward.expand.weight", "output.weight"})
    expect_deviation(table, store, name, 0.02);
  expect_deviation(table, store, "blocks.0.attention.projection.weight", 0.01);
}

TEST(Initialise, GivesTheSameValuesPieceByPiece) {
  const ParameterTable table(shape(1, 18, 2, 2, 1, {4, 4}));  // 324 elements and less: not all are whole fours
  for (std::size_t index = 0; index < table.entries().size(); ++index) {
    const std::int64_t count = table.entries()[index].count;
    std::vector<float> whole(static_cast<std::size_t>(count)), pieces(whole.size(), 9.0f);
    initialise(table, index, 3, 0, count, whole.data());
    for (std::int64_t first = 0; first < count; first += 20)
      initialise(table, index, 3, first, std::min<std::int64_t>(20, count - first), pieces.data() + first);
    EXPECT_EQ(pieces, whole) << table.entries()[index].name;
  }
}

TEST(Initialise, GivesTensorsOfOneShapeNumbersOfTheirOwn) {
  const ParameterTable table(shape(2, 16, 2, 2, 1, {4, 4}));
  std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
  initialise(table, 7, store.data());
  std::set<std::vector<float>> tensors;
  for (const std::string block : {"blocks.0.", "blocks.1."})
    for (const std::string name : {"query", "key", "value"}) {
      const Parameter& p = *table.find(block + "attention." + name + ".weight");
      tensors.emplace(store.begin() + p.offset, store.begin() + p.offset + p.count);
    }
  EXPECT_EQ(tensors.size(), 6u);
}

TEST(Initialise, IsAFunctionOfTheSeed) {
  const ParameterTable table(shape(1, 16, 2, 2, 1, {4, 4}));
  std::vector<float> a(static_cast<std::size_t>(table.store_elements())), b(a.size()), c(a.size());
  initialise(table, 7, a.data());
  initialise(table, 7, b.data());
  initialise(table, 8, c.data());
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_GT(std::set<float>(a.begin(), a.end()).size(), a.size() / 2);  // no word is used twice
}

}  // namespace
}  // namespace longstride
