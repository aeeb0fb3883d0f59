// These tests hold gradients against differences of the loss, and bits against other threads and batches.
#include "model/network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longstride/device.h"
#include "ops/philox.h"

namespace longstride {
namespace {

const char* const kLayouts[] = {"fixed(8,2)", R"x(["local(6)", "column(7)"])x",
                                R"x([["local(5)", "column(6)"], "strided(7)"])x", "summary(9,2)"};

ModelConfig small_model(const std::string& attention) {
  ModelConfig model;
  model.vocabulary = 19;
  model.context = 45;
  model.layers = 3;
  model.width = 24;
  model.heads = 3;
  model.feedforward = 2;
  model.query_key = 0.5;
  model.positions = {6, 8};
  model.attention = read_attention(attention);
  return model;
}

ModelConfig hashed_model() {
  ModelConfig model = small_model("window(4)");
  model.hash_orders = {2, 4};
  model.hash_buckets = 23;
  model.convolution = 3;
  return model;
}

std::vector<ModelConfig> every_model() {
  std::vector<ModelConfig> models = {hashed_model()};
  for (const char* layout : kLayouts) models.push_back(small_model(layout));
  return models;
}

// A model with weights everywhere, also where training starts from zero, and sequences for it.
struct Case {
  Case(const ModelConfig& m, DType activations) : model(m), table(m), backend(make_cpu_backend()), type(activations) {
    const std::int64_t elements = table.store_elements();
    store.resize(static_cast<std::size_t>(elements));
    initialise(table, 5, store.data());
    const PhiloxKey key = philox_key(11, Purpose::test);
    for (const Parameter& p : table.entries())
      for (std::int64_t e = 0; e < p.count; ++e)
        store[static_cast<std::size_t>(p.offset + e)] +=
            0.2f * (uniform_float(philox({static_cast<std::uint32_t>(p.offset + e), 0, 0, 0}, key)[0]) - 0.5f);
    f32 = Buffer(*backend, elements * 4);
    bf16 = Buffer(*backend, elements * 2);
    gradients = Buffer(*backend, elements * 4);
    tokens.resize(static_cast<std::size_t>(kBatch * model.context));
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] =
          static_cast<std::int32_t>(philox({static_cast<std::uint32_t>(i), 1, 0, 0}, key)[0] % model.vocabulary);
    scored.assign(tokens.size(), 1);
    for (std::size_t i = 3; i < scored.size(); i += 7) scored[i] = 0;
  }

  Pass pass() const {
    Pass p;
    p.batch = kBatch;
    p.tokens = tokens.data();
    p.scored = scored.data();
    p.dropout = 0.3f;
    p.dropout_seed = 9;
    p.dropout_step = 4;
    p.gradient = 0.01f;
    return p;
  }

  Weights upload() {
    backend->upload(f32.data(), store.data(), f32.bytes());
    backend->to_bfloat16(f32.f32(), bf16.bf16(), table.store_elements());
    return {&table, f32.f32(), bf16.bf16()};
  }

  // Sum of losses in nats times pass.gradient.
  double loss(Network& network) {
    std::vector<float> bits(tokens.size());
    network.forward(upload(), pass(), bits.data());
    double sum = 0;
    for (const float b : bits) sum += b;
    return sum * std::log(2.0) * pass().gradient;
  }

  std::vector<float> gradient(bool recompute, std::vector<float>* bits_out = nullptr,
                              std::int64_t rows_at_once = kRowsAtOnce) {
    Network network(*backend, model, {kBatch, model.context, type, true, recompute, rows_at_once});
    backend->zero(gradients.data(), gradients.bytes());
    std::vector<float> bits(tokens.size());
    network.forward_backward(upload(), gradients.f32(), pass(), bits.data());
    if (bits_out != nullptr) *bits_out = bits;
    std::vector<float> out(store.size());
    backend->download(out.data(), gradients.data(), gradients.bytes());
    return out;
  }

  static constexpr std::int64_t kBatch = 2;
  ModelConfig model;
  ParameterTable table;
  std::unique_ptr<Backend> backend;
  DType type;
  std::vector<float> store;
  Buffer f32, bf16, gradients;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> scored;
};

TEST(Network, GradientsAgreeWithDifferencesOfTheLossInTheirOwnDirection) {
  for (const ModelConfig& model : every_model()) {
    Case c(model, DType::float32);
    const std::vector<float> gradient = c.gradient(false);
    Network network(*c.backend, c.model, {Case::kBatch, c.model.context, DType::float32, false, false});
    for (const Parameter& p : c.table.entries()) {
      double norm = 0;
      for (std::int64_t e = 0; e < p.count; ++e) norm += std::pow(gradient[static_cast<std::size_t>(p.offset + e)], 2);
      norm = std::sqrt(norm);
      ASSERT_TRUE(std::isfinite(norm)) << p.name;
      // Keys' biases shift all scores of a query alike, so that their gradient is rounding alone.
      if (p.name.find("key.bias") != std::string::npos) {
        EXPECT_LT(norm, 1e-6) << p.name;
        continue;
      }
      ASSERT_GT(norm, 0) << p.name;
      // Central differences of a float32 loss near 1: the step leaves about 1e-7 / (2 h) of noise and h^2 of curvature.
      const double h = 2e-2;
      const auto shift = [&](double by) {
        for (std::int64_t e = 0; e < p.count; ++e)
          c.store[static_cast<std::size_t>(p.offset + e)] +=
              static_cast<float>(by * gradient[static_cast<std::size_t>(p.offset + e)] / norm);
      };
      shift(h);
      const double above = c.loss(network);
      shift(-2 * h);
      const double below = c.loss(network);
      shift(h);
      // forward() of a network without training still drops: dropout is the pass's.
      EXPECT_NEAR((above - below) / (2 * h), norm, 0.02 * norm + 2e-5)
          << write_attention(model.attention) << " " << p.name;
    }
  }
}

TEST(Network, RecomputationGivesTheSameBits) {
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const ModelConfig& model : every_model()) {
      Case c(model, type);
      std::vector<float> kept_bits, again_bits;
      const std::vector<float> kept = c.gradient(false, &kept_bits);
      const std::vector<float> again = c.gradient(true, &again_bits);
      EXPECT_EQ(kept_bits, again_bits) << write_attention(model.attention);
      EXPECT_EQ(kept, again) << write_attention(model.attention);
    }
}

TEST(Network, GivesTheSameForAnyNumberOfRowsAtOnce) {
  Case c(small_model(kLayouts[1]), DType::float32);
  std::vector<float> whole_bits, kept_bits, again_bits;
  const std::vector<float> whole = c.gradient(false, &whole_bits);
  for (const std::int64_t rows : {20, 64, 95}) {  // of 96
    const std::vector<float> kept = c.gradient(false, &kept_bits, rows);
    const std::vector<float> again = c.gradient(true, &again_bits, rows);
    EXPECT_EQ(kept_bits, again_bits) << rows;
    EXPECT_EQ(kept, again) << rows;
    // Sums of at most 96 rows of gradients below 0.1, in another order.
    ASSERT_EQ(kept.size(), whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(kept[i], whole[i], 96 * 0.1 * 0x1p-22) << rows;
    for (std::size_t i = 0; i < whole_bits.size(); ++i) ASSERT_NEAR(kept_bits[i], whole_bits[i], 1e-5) << rows;
  }
}

TEST(Network, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Case c(hashed_model(), type);
    set_threads(1);
    const std::vector<float> one = c.gradient(true);
    for (const int threads : {2, 3}) {
      set_threads(threads);
      EXPECT_EQ(c.gradient(true), one) << threads << " threads";
    }
    set_threads(0);
  }
}

TEST(Network, StartsAtExactlyTheBitsOfOneSymbol) {
  ModelConfig model = small_model("fixed(8,2)");
  model.vocabulary = 256;
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Case c(model, type);
    initialise(c.table, 1, c.store.data());
    Network network(*c.backend, model, {Case::kBatch, model.context, type, false, false});
    std::vector<float> bits(c.tokens.size());
    network.forward(c.upload(), c.pass(), bits.data());
    for (std::size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(bits[i], c.scored[i] != 0 ? 8.0f : 0.0f);
  }
}

TEST(Network, DoesNotLookAhead) {
  for (const ModelConfig& model : every_model()) {
    Case c(model, DType::float32);
    Network network(*c.backend, c.model, {Case::kBatch, c.model.context, DType::float32, false, false});
    const std::vector<float> before = network.logits(c.upload(), c.pass());
    const std::int64_t changed = 20;
    c.tokens[changed] = (c.tokens[changed] + 1) % 19;
    const std::vector<float> after = network.logits(c.upload(), c.pass());
    const std::int64_t V = c.model.vocabulary;
    for (std::int64_t e = 0; e <= changed * V + V - 1; ++e)
      ASSERT_EQ(before[static_cast<std::size_t>(e)], after[static_cast<std::size_t>(e)])
          << write_attention(model.attention);
    EXPECT_NE(before[static_cast<std::size_t>((changed + 1) * V)], after[static_cast<std::size_t>((changed + 1) * V)]);
  }
}

}  // namespace
}  // namespace longstride
