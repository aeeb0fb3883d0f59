// A model for the engine's tests, with weights everywhere and sequences to read, and the layouts it is tried with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "longstride/error.h"
#include "model/engine.h"
#include "model/network.h"
#include "model/random_weights.h"
#include "model/small_model.h"
#include "ops/philox.h"

namespace longstride {

inline constexpr std::int64_t kSequences = 2;

inline ModelConfig model_with(const std::string& attention, std::int64_t context = 45) {
  ModelConfig model = small_model(attention, 3);
  model.context = context;
  model.positions = {(context + 7) / 8, 8};
  return model;
}

// What reads tokens beyond the one before: hash embeddings and the convolution.
inline ModelConfig hashed(ModelConfig model) {
  model.hash_orders = {1, 3, 4};
  model.hash_buckets = 29;
  model.convolution = 5;
  return model;
}

inline const std::vector<std::string> kLayouts = {
    "dense",
    "window(1)",
    "window(7)",
    "local(7)",
    "column(6)",
    "column(1)",
    "row(7)",
    "row(64)",
    "summary(8,3)",
    "summary(8,2,1)",
    "previous_row(7)",
    "prefix(5)",
    "digits(3,2)",
    "digits(3,3)",
    // merged
    "strided(7)",
    "fixed(8,2)",
    "fixed(11,5)",
    "local(6) | column(7)",
    "prefix(3) | window(4)",
    "row(9) | summary(9,2) | prefix(4)",
    "previous_row(5) | summary(5,1) | column(10)",
    "digits(2,3) | window(3)",
    // interleaved
    R"j(["local(6)", "column(7)"])j",
    R"j(["column(8)", "window(8)", "window(8)", "window(8)"])j",
    R"j(["row(8)", "summary(8,2)"])j",
    // multi-head
    R"j([["local(7)", "column(8)"]])j",
    R"j([["fixed(9,2)", "dense", "summary(5,2)"], "window(3)"])j",
    R"j([["prefix(4) | window(2)", "previous_row(6)"], ["digits(3,2)", "row(5)", "strided(4)"]])j",
};

// A model with weights everywhere, also where training starts from zero, and sequences for it.
struct EngineCase {
  EngineCase(const ModelConfig& m, DType activations, std::unique_ptr<Backend> on = make_cpu_backend())
      : model(m), table(m), backend(std::move(on)), type(activations) {
    const std::vector<float> store = random_weights(table, 3, 17, 0.6f);
    f32 = Buffer(*backend, table.store_elements() * 4);
    bf16 = Buffer(*backend, table.store_elements() * 2);
    backend->upload(f32.data(), store.data(), f32.bytes());
    run_once(*backend, Round{f32.floats(), bf16.halves()});
    tokens = tokens_for(kSequences);
  }

  // `count` sequences of a context each; the first ones are the same whatever the count.
  std::vector<std::int32_t> tokens_for(std::int64_t count) const {
    const PhiloxKey key = philox_key(17, Purpose::test);
    std::vector<std::int32_t> made(static_cast<std::size_t>(count * model.context));
    for (std::size_t i = 0; i < made.size(); ++i) {
      const PhiloxBlock words = philox({static_cast<std::uint32_t>(i), 1, 0, 0}, key);
      made[i] = static_cast<std::int32_t>(words[0] % static_cast<std::uint32_t>(model.vocabulary));
    }
    return made;
  }

  Weights weights() const { return {&table, f32.f32(), bf16.bf16()}; }
  Engine engine(std::int64_t sequences) const { return engine(sequences, model.context); }
  Engine engine(std::int64_t sequences, std::int64_t length) const {
    return Engine(*backend, model, {sequences, length, type}, weights());
  }

  // (kSequences, T, V): every position at once.
  std::vector<float> whole() const {
    Network network(*backend, model, {kSequences, model.context, type, false, false}, weights());
    Pass pass;
    pass.batch = kSequences;
    pass.tokens = tokens.data();
    return network.logits(pass);
  }

  // The tokens of sequence b.
  std::span<const std::int32_t> sequence(std::int64_t b) const {
    return std::span(tokens).subspan(static_cast<std::size_t>(b * model.context),
                                     static_cast<std::size_t>(model.context));
  }

  // What sequence b steps on with, in this place of the engine, at the position where it stands.
  Engine::Next next(const Engine& engine, Engine::Sequence place, std::int64_t b) const {
    const std::int64_t at = engine.position(place);
    return {place, at == 0 ? -1 : sequence(b)[static_cast<std::size_t>(at - 1)]};
  }

  // (kSequences, T, V): one position after the other, in two places that stand at the same position.
  std::vector<float> decoded(Engine& engine, Engine::Sequence first, Engine::Sequence second) const {
    const std::int64_t T = model.context, V = model.vocabulary;
    std::vector<float> all(static_cast<std::size_t>(kSequences * T * V));
    for (std::int64_t at = engine.position(first); at < T; ++at) {
      const Engine::Next row[] = {next(engine, first, 0), next(engine, second, 1)};
      const float* logits = engine.step(row);
      for (std::int64_t b = 0; b < kSequences; ++b) std::copy_n(logits + b * V, V, all.data() + (b * T + at) * V);
    }
    return all;
  }
  std::vector<float> decoded() const {
    Engine engine = this->engine(kSequences);
    const Engine::Sequence first = engine.join(), second = engine.join();
    return decoded(engine, first, second);
  }

  // (T, V): these tokens alone, one position after the other.
  std::vector<float> alone(std::span<const std::int32_t> row) const {
    Engine engine = this->engine(1);
    const Engine::Sequence place = engine.join();
    std::vector<float> all;
    for (std::size_t at = 0; at < row.size(); ++at) {
      const Engine::Next next = {place, at == 0 ? -1 : row[at - 1]};
      const float* logits = engine.step({&next, 1});
      all.insert(all.end(), logits, logits + model.vocabulary);
    }
    return all;
  }

  // Whether logits are these of (T, V) at a position, to the bit.
  bool are_those(const float* logits, const std::vector<float>& all, std::int64_t at) const {
    const std::int64_t V = model.vocabulary;
    return logits != nullptr && std::equal(logits, logits + V, all.begin() + at * V);
  }

  ModelConfig model;
  ParameterTable table;
  std::unique_ptr<Backend> backend;
  DType type;
  Buffer f32, bf16;
  std::vector<std::int32_t> tokens;
};

// Fails on NaN. tolerance: relative to the largest expected value.
inline void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(found.size(), expected.size());
  double largest = 0, worst = 0;
  std::size_t where = 0;
  for (const float e : expected) largest = std::max(largest, std::abs(static_cast<double>(e)));
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double distance = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    ASSERT_FALSE(std::isnan(distance)) << what << ", element " << i;
    if (distance > worst) worst = distance, where = i;
  }
  EXPECT_GT(largest, 0.1) << what;  // the comparison says something
  EXPECT_LE(worst, tolerance * largest) << what << ", element " << where;
}

// Float32: about 8 sums a block follow one another, 24 in 3 blocks, of at most K = 48 products; each is off by about
// sqrt(K) 2^-24 of its size, in either path: 24 * 7 * 6e-8 * 2 = 2e-5 if all errors pointed the same way.
inline constexpr double kFloat32 = 2e-5;
// Bfloat16: the same 24 places round to 2^-9, and sums of another order round to another neighbour. Errors
// of 24 places add like a random walk: sqrt(24) 2^-9 = 1 %, of a largest logit that every element is measured by.
inline constexpr double kBfloat16 = 0.03;

inline double tolerance_of(DType type) { return type == DType::float32 ? kFloat32 : kBfloat16; }

}  // namespace longstride
