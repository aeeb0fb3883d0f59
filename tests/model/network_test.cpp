// These tests hold gradients against differences of the loss, and bits against other threads, batches and passes.
#include "model/network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "io/scratch.h"
#include "longstride/device.h"
#include "model/random_weights.h"
#include "model/small_model.h"
#include "ops/philox.h"

namespace longstride {
namespace {

const char* const kLayouts[] = {"fixed(8,2)", R"x(["local(6)", "column(7)"])x",
                                R"x([["local(5)", "column(6)"], "strided(7)"])x", "summary(9,2)"};

ModelConfig hashed_model() {
  ModelConfig model = small_model("window(4)", 3);
  model.hash_orders = {2, 4};
  model.hash_buckets = 23;
  model.convolution = 3;
  return model;
}

std::vector<ModelConfig> every_model() {
  std::vector<ModelConfig> models = {hashed_model()};
  for (const char* layout : kLayouts) models.push_back(small_model(layout, 3));
  return models;
}

// A model with weights everywhere, also where training starts from zero, and sequences for it.
struct Case {
  Case(const ModelConfig& m, DType activations) : model(m), table(m), backend(make_cpu_backend()), type(activations) {
    const std::int64_t elements = table.store_elements();
    store = random_weights(table, 5, 11, 0.2f);
    const PhiloxKey key = philox_key(11, Purpose::test);
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
    p.dropout_step = 4;
    p.gradient = 0.01f;
    return p;
  }

  NetworkShape shape(bool training = false, bool recompute = false, std::int64_t rows_at_once = kRowsAtOnce) const {
    NetworkShape s{kBatch, model.context, type, training, recompute, rows_at_once};
    s.dropout = 0.3f;
    s.dropout_seed = 9;
    return s;
  }

  // Weights lie where they are; a network made before reads the new values.
  void upload() {
    backend->upload(f32.data(), store.data(), f32.bytes());
    run_once(*backend, Round{f32.floats(), bf16.halves()});
  }
  Weights weights() {
    upload();
    return {&table, f32.f32(), bf16.bf16()};
  }
  TrainingOutputs outputs() const { return {{&table, gradients.f32(), nullptr}, {}}; }
  Network network() { return Network(*backend, model, shape(), weights()); }

  // Sum of losses in nats times pass.gradient.
  double loss(Network& network) {
    upload();
    std::vector<float> bits(tokens.size());
    network.forward(pass(), bits.data());
    double sum = 0;
    for (const float b : bits) sum += b;
    return sum * std::log(2.0) * pass().gradient;
  }

  std::vector<float> gradient(bool recompute, std::vector<float>* bits_out = nullptr,
                              std::int64_t rows_at_once = kRowsAtOnce) {
    Network network(*backend, model, shape(true, recompute, rows_at_once), weights(), outputs());
    return gradient(network, bits_out);
  }
  std::vector<float> gradient(Network& network, std::vector<float>* bits_out = nullptr,
                              const Executable::AtMark& at_mark = {}) {
    backend->zero(gradients.data(), gradients.bytes());
    std::vector<float> bits(tokens.size());
    network.forward_backward(pass(), bits.data(), at_mark);
    if (bits_out != nullptr) *bits_out = bits;
    return all_gradients();
  }
  std::vector<float> all_gradients() const {
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
    Network network = c.network();
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
      // forward() of a network without training drops as the training pass did.
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
  Case c(small_model(kLayouts[1], 3), DType::float32);
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
  ModelConfig model = small_model("fixed(8,2)", 3);
  model.vocabulary = 256;
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Case c(model, type);
    initialise(c.table, 1, c.store.data());
    Network network = c.network();
    std::vector<float> bits(c.tokens.size());
    network.forward(c.pass(), bits.data());
    for (std::size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(bits[i], c.scored[i] != 0 ? 8.0f : 0.0f);
  }
}

TEST(Network, DoesNotLookAhead) {
  for (const ModelConfig& model : every_model()) {
    Case c(model, DType::float32);
    Network network = c.network();
    const std::vector<float> before = network.logits(c.pass());
    const std::int64_t changed = 20;
    c.tokens[changed] = (c.tokens[changed] + 1) % 19;
    const std::vector<float> after = network.logits(c.pass());
    const std::int64_t V = c.model.vocabulary;
    for (std::int64_t e = 0; e <= changed * V + V - 1; ++e)
      ASSERT_EQ(before[static_cast<std::size_t>(e)], after[static_cast<std::size_t>(e)])
          << write_attention(model.attention);
    EXPECT_NE(before[static_cast<std::size_t>((changed + 1) * V)], after[static_cast<std::size_t>((changed + 1) * V)]);
  }
}

// What a pass's watcher saw of all blocks' attention.
std::vector<float> watched(Case& c, Network& network) {
  std::vector<float> seen;
  std::int64_t blocks = 0;
  network.watch(c.pass(), [&](std::int64_t block, const Attention& attention) {
    EXPECT_EQ(block, blocks++);
    const std::size_t from = seen.size();
    seen.resize(from + static_cast<std::size_t>(attention.lse.count));
    c.backend->download(seen.data() + from, attention.lse.data, attention.lse.count * 4);
  });
  EXPECT_EQ(blocks, c.model.layers);
  return seen;
}

TEST(Network, IsAsItWasAfterAWatcherThatThrew) {
  struct Enough {};
  for (const bool training : {false, true}) {
    Case c(hashed_model(), DType::float32);
    Network network(*c.backend, c.model, c.shape(training), c.weights(), c.outputs());
    std::vector<float> bits(c.tokens.size()), again(c.tokens.size());
    network.forward(c.pass(), bits.data());
    const std::vector<float> seen = watched(c, network);
    const std::vector<float> gradient = training ? c.gradient(network) : std::vector<float>();
    std::int64_t looks = 0;
    const auto look = [&](std::int64_t block, const Attention&) {
      ++looks;
      if (block == 1) throw Enough();
    };
    EXPECT_THROW(network.watch(c.pass(), look), Enough);
    EXPECT_EQ(looks, 2);
    network.forward(c.pass(), again.data());
    EXPECT_EQ(again, bits);
    EXPECT_EQ(watched(c, network), seen);
    if (training) {
      EXPECT_EQ(c.gradient(network), gradient);
    }
    EXPECT_EQ(looks, 2);  // nobody calls it any more
  }
}

TEST(Network, WatchesAsManySequencesAsItIsMadeFor) {
  Case c(hashed_model(), DType::float32);
  Network network = c.network();
  Pass pass = c.pass();
  pass.batch = 1;
  const std::string said = error_words(ErrorKind::invalid_argument, [&] { network.watch(pass, {}); });
  EXPECT_EQ(said, "network: watches 2 sequences at a time, got 1");
}

TEST(Network, RefusesPassesThatItWasNotMadeFor) {
  Case c(hashed_model(), DType::float32);
  Network network(*c.backend, c.model, c.shape(true), c.weights(), c.outputs());
  std::vector<float> bits(2 * c.tokens.size());
  const auto words = [&](const auto& action) { return error_words(ErrorKind::invalid_argument, action); };
  Pass pass = c.pass();
  for (const std::int64_t batch : {0, 3}) {
    pass.batch = batch;
    EXPECT_EQ(words([&] { network.forward(pass, bits.data()); }),
              "network: needs 1 to 2 sequences, got " + std::to_string(batch));
  }
  pass.batch = 1;
  EXPECT_EQ(words([&] { network.forward_backward(pass); }), "network: trains on 2 sequences at a time, got 1");
  c.tokens[7] = 19;
  EXPECT_EQ(words([&] { network.forward(c.pass(), bits.data()); }),
            "network: token 19 is outside the vocabulary of 19");
  Network scoring = c.network();
  EXPECT_EQ(words([&] { scoring.forward_backward(c.pass()); }), "network: made without gradients, cannot train");
}

// The bits of each token, and all logits, of the two sequences by themselves and of both in one pass.
struct BatchesOfOne {
  std::vector<float> alone_bits, bits, alone_logits, logits;
};
BatchesOfOne by_one_and_by_two(Case& c, bool training) {
  NetworkShape shape = c.shape(training);
  shape.dropout = 0;
  Network network(*c.backend, c.model, shape, c.weights(), c.outputs());
  const auto T = static_cast<std::size_t>(c.model.context);
  BatchesOfOne made;
  made.alone_bits.resize(2 * T), made.bits.resize(2 * T);
  network.forward(c.pass(), made.bits.data());
  made.logits = network.logits(c.pass());
  for (std::size_t b = 0; b < 2; ++b) {
    Pass pass = c.pass();
    pass.batch = 1;
    pass.tokens += b * T, pass.scored += b * T;
    network.forward(pass, made.alone_bits.data() + b * T);
    const std::vector<float> logits = network.logits(pass);
    made.alone_logits.insert(made.alone_logits.end(), logits.begin(), logits.end());
  }
  return made;
}

ModelConfig with_context(ModelConfig model, std::int64_t context) {
  model.context = context;
  model.positions = {24, 8};
  return model;
}

// Products run in chunks of 64 rows (cpu/row_product.h): a sequence of whole chunks is cut alike in any batch.
TEST(Network, GivesRowsOfASmallerBatchTheBitsThatTheyHaveInAFullOne) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    for (const ModelConfig& model : every_model()) {
      for (const std::int64_t context : {128, 192}) {
        for (const bool training : {false, true}) {
          Case c(with_context(model, context), type);
          const BatchesOfOne made = by_one_and_by_two(c, training);
          EXPECT_TRUE(made.alone_bits == made.bits) << write_attention(model.attention) << " of " << context;
          EXPECT_TRUE(made.alone_logits == made.logits) << write_attention(model.attention) << " of " << context;
        }
      }
    }
  }
}

// A chunk of fewer rows, or at most 64 rows in all (cpu/few_rows.h), may be summed in another order.
TEST(Network, GivesRowsOfASmallerBatchTheirBitsToRoundingWhereProductsAreCutOtherwise) {
  for (const ModelConfig& model : every_model()) {
    for (const std::int64_t context : {45, 64, 65, 96}) {
      Case c(with_context(model, context), DType::float32);
      const BatchesOfOne made = by_one_and_by_two(c, false);
      for (std::size_t i = 0; i < made.bits.size(); ++i) ASSERT_NEAR(made.alone_bits[i], made.bits[i], 1e-5);
      for (std::size_t i = 0; i < made.logits.size(); ++i) ASSERT_NEAR(made.alone_logits[i], made.logits[i], 1e-5);
    }
  }
}

TEST(Network, TellsOfGradientsWhenNothingChangesThemAnyMore) {
  for (const bool recompute : {false, true}) {
    for (const ModelConfig& model : every_model()) {
      Case c(model, DType::float32);
      Network network(*c.backend, model, c.shape(true, recompute, 64), c.weights(), c.outputs());
      std::vector<float> when_told(c.store.size(), 7.0f);
      const std::vector<float> gradient = c.gradient(network, nullptr, [&](const Mark& mark) {
        ASSERT_EQ(mark.what, Mark::What::gradient_final);
        const std::vector<float> now = c.all_gradients();
        std::copy(now.begin() + mark.begin, now.begin() + mark.end, when_told.begin() + mark.begin);
      });
      EXPECT_EQ(when_told, gradient) << write_attention(model.attention);
    }
  }
}

}  // namespace
}  // namespace longstride
