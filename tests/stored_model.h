// A small model of random weights in a checkpoint of a folder that goes with it: what tests of a held model load.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "error_words.h"
#include "longstride/config.h"
#include "longstride/model.h"
#include "model/checkpoint.h"
#include "model/parameters.h"
#include "model/random_weights.h"
#include "ops/philox.h"

namespace longstride::tests {

class StoredModel {
 public:
  static constexpr std::int64_t kContext = 12;

  // seed: of the weights. vocabulary: tokens there are. context: a multiple of 3.
  explicit StoredModel(std::uint32_t seed = 4, std::int64_t vocabulary = 256, std::int64_t context = kContext) {
    std::string pattern = (std::filesystem::temp_directory_path() / "longstride-model-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    Config config;
    config.model.vocabulary = vocabulary;
    config.model.context = context;
    config.model.layers = 2;
    config.model.width = 16;
    config.model.heads = 2;
    config.model.feedforward = 2;
    config.model.positions = {context / 3, 3};
    config.model.hash_orders = {2};
    config.model.hash_buckets = 64;
    config.model.attention = read_attention("fixed(4,1)");
    config.training.precision = Precision::float32;
    config_ = read_config({write_config(config)}, {"test"}, {});
    const ParameterTable table(config_.model);
    const std::vector<float> store = random_weights(table, seed, seed, 0.6f);
    parameters_ = table.count();
    std::filesystem::create_directories(path("run/checkpoints/000000042"));
    save_model(file(), config_, 42, table, store.data());
  }
  ~StoredModel() { std::filesystem::remove_all(root_); }
  StoredModel(const StoredModel&) = delete;
  StoredModel& operator=(const StoredModel&) = delete;

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  std::string run() const { return path("run"); }
  std::string file() const { return path("run/checkpoints/000000042/model.safetensors"); }
  const Config& config() const { return config_; }
  std::int64_t parameters() const { return parameters_; }
  Model load(Precision precision = Precision::float32) const { return Model({.run = run(), .precision = precision}); }
  void remove_checkpoint() const { std::filesystem::remove_all(path("run")); }

 private:
  std::filesystem::path root_;
  Config config_;
  std::int64_t parameters_ = 0;
};

// Random tokens in [0, vocabulary).
inline std::vector<std::int32_t> some_tokens(std::int64_t count, std::int64_t vocabulary, std::uint32_t seed = 1) {
  std::vector<std::int32_t> tokens;
  const PhiloxKey key = philox_key(seed, Purpose::test);
  for (std::uint32_t at = 0; at < static_cast<std::uint32_t>(count); ++at)
    tokens.push_back(static_cast<std::int32_t>(philox({at, 1, 0, 0}, key)[0] % static_cast<std::uint32_t>(vocabulary)));
  return tokens;
}

}  // namespace longstride::tests
