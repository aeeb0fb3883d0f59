// This makes the table of parameters from a configuration and fills them with their initial values.
#include "model/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/philox.h"

namespace longstride {

namespace {

constexpr const char* kHashEmbedding = "hash_embedding.";
constexpr std::int64_t kAlignedElements = 16;  // 64 bytes of float32: every group starts on a cache line

// Standard deviations of the three readings (longstride/config.h).
struct Deviations {
  explicit Deviations(const ModelConfig& model) : reading(model.initialisation) {
    const auto C = static_cast<double>(model.width);
    const auto extents = static_cast<double>(model.positions.size());
    const bool gpt2 = reading == Initialisation::gpt2;
    token = gpt2 ? kGpt2 : 0.125 / std::sqrt(C);
    position = gpt2 ? kGpt2 : 0.125 / std::sqrt(C * extents);
    output = gpt2 ? kGpt2 : 0;
    depth = 1 / std::sqrt(2.0 * static_cast<double>(model.layers));
  }
  double linear(std::int64_t fan_in) const {
    const auto d = static_cast<double>(fan_in);
    if (reading == Initialisation::gpt2) return kGpt2;
    return reading == Initialisation::paper ? 0.125 / std::sqrt(d) : std::sqrt(0.125 / d);
  }

  static constexpr double kGpt2 = 0.02;
  Initialisation reading;
  double token, position, output;
  double depth;  // factor of the two residual outputs of a block
};

std::string block_name(std::int64_t block, const char* rest) { return "blocks." + std::to_string(block) + "." + rest; }

}  // namespace

std::int64_t ParameterTable::add(std::string name, std::vector<std::int64_t> shape, double deviation, float constant,
                                 const char* part) {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  const bool by_rows = name.starts_with(kHashEmbedding), decay = shape.size() >= 2 && !by_rows;
  const std::int64_t offset = store_;
  entries_.push_back({std::move(name), std::move(shape), offset, elements, deviation, constant, decay, by_rows, part});
  store_ += elements;
  count_ += elements;
  return offset;
}

void ParameterTable::align() { store_ = (store_ + kAlignedElements - 1) / kAlignedElements * kAlignedElements; }

void ParameterTable::add_block(const ModelConfig& model, std::int64_t block) {
  const std::int64_t C = model.width, Cq = model.query_width(), F = model.hidden_width();
  const Deviations deviations(model);
  const auto deviation = [&](std::int64_t fan_in) { return deviations.linear(fan_in); };
  const auto name = [&](const char* rest) { return block_name(block, rest); };
  BlockOffsets o{};
  o.attention_norm_weight = add(name("attention_norm.weight"), {C}, 0, 1, "norms");
  align();
  o.attention_norm_bias = add(name("attention_norm.bias"), {C}, 0, 0, "norms");
  align();
  o.qkv_weight = add(name("attention.query.weight"), {Cq, C}, deviation(C), 0, "attention");
  add(name("attention.key.weight"), {Cq, C}, deviation(C), 0, "attention");
  add(name("attention.value.weight"), {C, C}, deviation(C), 0, "attention");
  align();
  o.qkv_bias = add(name("attention.query.bias"), {Cq}, 0, 0, "attention");
  add(name("attention.key.bias"), {Cq}, 0, 0, "attention");
  add(name("attention.value.bias"), {C}, 0, 0, "attention");
  align();
  o.projection_weight =
      add(name("attention.projection.weight"), {C, C}, deviation(C) * deviations.depth, 0, "attention");
  align();
  o.projection_bias = add(name("attention.projection.bias"), {C}, 0, 0, "attention");
  align();
  o.feedforward_norm_weight = add(name("feedforward_norm.weight"), {C}, 0, 1, "norms");
  align();
  o.feedforward_norm_bias = add(name("feedforward_norm.bias"), {C}, 0, 0, "norms");
  align();
  o.expand_weight = add(name("feedforward.expand.weight"), {F, C}, deviation(C), 0, "feedforward");
  align();
  o.expand_bias = add(name("feedforward.expand.bias"), {F}, 0, 0, "feedforward");
  align();
  o.contract_weight =
      add(name("feedforward.contract.weight"), {C, F}, deviation(F) * deviations.depth, 0, "feedforward");
  align();
  o.contract_bias = add(name("feedforward.contract.bias"), {C}, 0, 0, "feedforward");
  align();
  blocks.push_back(o);
}

ParameterTable::ParameterTable(const ModelConfig& model) {
  const std::int64_t C = model.width;
  const Deviations deviations(model);
  start = add("start", {C}, deviations.token, 0, "embeddings");
  align();
  token_embedding = add("token_embedding.weight", {model.vocabulary, C}, deviations.token, 0, "embeddings");
  align();
  for (std::size_t j = 0; j < model.positions.size(); ++j) {
    const std::string name = "position_embedding." + std::to_string(j) + ".weight";
    position_embeddings.push_back(add(name, {model.positions[j], C}, deviations.position, 0, "embeddings"));
    align();
  }
  for (const std::int64_t order : model.hash_orders) {
    const std::string name = kHashEmbedding + std::to_string(order) + ".weight";
    hash_embeddings.push_back(add(name, {model.hash_buckets, C}, deviations.token, 0, "embeddings"));
    align();
  }
  if (model.convolution > 0) {  // all taps together begin with the variance of one token
    const double deviation = 1 / std::sqrt(static_cast<double>(model.convolution));
    token_convolution = add("token_convolution.weight", {model.convolution, C}, deviation, 0, "embeddings");
    align();
  }
  for (std::int64_t block = 0; block < model.layers; ++block) add_block(model, block);
  final_norm_weight = add("final_norm.weight", {C}, 0, 1, "norms");
  align();
  final_norm_bias = add("final_norm.bias", {C}, 0, 0, "norms");
  align();
  output_weight = add("output.weight", {model.vocabulary, C}, deviations.output, 0, "output");
  align();
}

const Parameter* ParameterTable::find(std::string_view name) const {
  for (const Parameter& entry : entries_)
    if (entry.name == name) return &entry;
  return nullptr;
}

void initialise(const ParameterTable& table, std::size_t index, std::int64_t seed, std::int64_t first,
                std::int64_t count, float* values) {
  const PhiloxKey key = philox_key(seed, Purpose::initialise);
  const Parameter& entry = table.entries()[index];
  std::fill_n(values, count, entry.constant);
  if (entry.deviation == 0) return;
  for (std::int64_t e = 0; e < count; e += 4) {  // Box and Muller: two words make two normal numbers
    const auto block = static_cast<std::uint64_t>(first + e) / 4;
    const PhiloxBlock words = philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                      static_cast<std::uint32_t>(index), 0},
                                     key);
    for (int pair = 0; pair < 2; ++pair) {
      const double radius = entry.deviation * std::sqrt(-2 * std::log(uniform_double(words[2 * pair])));
      const double angle = 2 * std::numbers::pi * uniform_double(words[2 * pair + 1]);
      if (e + 2 * pair < count) values[e + 2 * pair] = static_cast<float>(radius * std::cos(angle));
      if (e + 2 * pair + 1 < count) values[e + 2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
}

void initialise(const ParameterTable& table, std::int64_t seed, float* store) {
  std::fill_n(store, table.store_elements(), 0.0f);
  for (std::size_t index = 0; index < table.entries().size(); ++index)
    initialise(table, index, seed, 0, table.entries()[index].count, store + table.entries()[index].offset);
}

}  // namespace longstride
