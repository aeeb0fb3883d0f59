// These tests hold the decoder's logits against the network's at every position.
#include "model/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/philox.h"

namespace longstride {
namespace {

constexpr std::int64_t kSequences = 2;

ModelConfig model_with(const std::string& attention, std::int64_t context = 45) {
  ModelConfig model;
  model.vocabulary = 19;
  model.context = context;
  model.layers = 3;
  model.width = 24;
  model.heads = 3;
  model.feedforward = 2;
  model.query_key = 0.5;
  model.positions = {(context + 7) / 8, 8};
  model.attention = read_attention(attention);
  return model;
}

// A model with weights everywhere, also where training starts from zero, and sequences for it.
struct Case {
  Case(const ModelConfig& m, DType activations) : model(m), table(m), backend(make_cpu_backend()), type(activations) {
    std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
    initialise(table, 3, store.data());
    const PhiloxKey key = philox_key(17, Purpose::test);
    for (const Parameter& p : table.entries()) {
      for (std::int64_t e = p.offset; e < p.offset + p.count; ++e) {
        const PhiloxBlock words = philox({static_cast<std::uint32_t>(e), 0, 0, 0}, key);
        store[static_cast<std::size_t>(e)] += 0.6f * (uniform_float(words[0]) - 0.5f);
      }
    }
    f32 = Buffer(*backend, table.store_elements() * 4);
    bf16 = Buffer(*backend, table.store_elements() * 2);
    backend->upload(f32.data(), store.data(), f32.bytes());
    backend->to_bfloat16(f32.f32(), bf16.bf16(), table.store_elements());
    tokens.resize(static_cast<std::size_t>(kSequences * model.context));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const PhiloxBlock words = philox({static_cast<std::uint32_t>(i), 1, 0, 0}, key);
      tokens[i] = static_cast<std::int32_t>(words[0] % static_cast<std::uint32_t>(model.vocabulary));
    }
  }

  Weights weights() const { return {&table, f32.f32(), bf16.bf16()}; }

  // (kSequences, T, V): every position at once.
  std::vector<float> whole() {
    Network network(*backend, model, {kSequences, model.context, type, false, false});
    Pass pass;
    pass.batch = kSequences;
    pass.tokens = tokens.data();
    return network.logits(weights(), pass);
  }

  // The tokens before position `at` of each sequence.
  std::vector<std::int32_t> before(std::int64_t at) const {
    std::vector<std::int32_t> row;
    for (std::int64_t b = 0; b < kSequences; ++b) {
      row.push_back(at == 0 ? -1 : tokens[static_cast<std::size_t>(b * model.context + at - 1)]);
    }
    return row;
  }

  // (kSequences, T, V): one position after the other.
  std::vector<float> decoded(Decoder& decoder) {
    const std::int64_t T = model.context, V = model.vocabulary;
    std::vector<float> all(static_cast<std::size_t>(kSequences * T * V));
    for (std::int64_t at = 0; at < T; ++at) {
      const float* logits = decoder.step(weights(), before(at).data());
      for (std::int64_t b = 0; b < kSequences; ++b) std::copy_n(logits + b * V, V, all.data() + (b * T + at) * V);
    }
    return all;
  }

  ModelConfig model;
  ParameterTable table;
  std::unique_ptr<Backend> backend;
  DType type;
  Buffer f32, bf16;
  std::vector<std::int32_t> tokens;
};

// Fails on NaN. tolerance: relative to the largest expected value.
void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double tolerance,
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

const std::vector<std::string> kLayouts = {
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

// Float32: about 8 sums a block follow one another, 24 in 3 blocks, of at most K = 48 products; each is off by about
// sqrt(K) 2^-24 of its size, in either path: 24 * 7 * 6e-8 * 2 = 2e-5 if all errors pointed the same way.
constexpr double kFloat32 = 2e-5;
// Bfloat16: the same 24 places round to 2^-9, and sums of another order round to another neighbour. Errors
// of 24 places add like a random walk: sqrt(24) 2^-9 = 1 %, of a largest logit that every element is measured by.
constexpr double kBfloat16 = 0.03;

TEST(Decoder, GivesTheLogitsOfTheWholeSequenceWithHashEmbeddingsAndConvolution) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    ModelConfig model = model_with("fixed(8,2)");
    model.hash_orders = {1, 3, 4};
    model.hash_buckets = 29;
    model.convolution = 5;
    Case c(model, type);
    Decoder decoder(*c.backend, c.model, {kSequences, c.model.context, type});
    const std::vector<float> whole = c.whole();
    for (const char* what : {"hashed", "hashed, again"}) {
      decoder.restart();
      expect_near(c.decoded(decoder), whole, type == DType::float32 ? kFloat32 : kBfloat16, what);
    }
  }
}

TEST(Decoder, GivesTheLogitsOfTheWholeSequenceForEveryPattern) {
  for (const std::string& layout : kLayouts) {
    Case c(model_with(layout), DType::float32);
    Decoder decoder(*c.backend, c.model, {kSequences, c.model.context, c.type});
    expect_near(c.decoded(decoder), c.whole(), kFloat32, layout);
  }
}

TEST(Decoder, GivesTheLogitsOfTheWholeSequenceForLengthsThatNothingDivides) {
  for (const std::int64_t context : {1, 2, 3, 31, 97}) {
    for (const char* layout :
         {"fixed(8,3)", "strided(10)", R"j([["row(7)", "summary(7,2)", "digits(3,2)"], "dense"])j"}) {
      Case c(model_with(layout, context), DType::float32);
      Decoder decoder(*c.backend, c.model, {kSequences, context, c.type});
      expect_near(c.decoded(decoder), c.whole(), kFloat32, std::string(layout) + " of " + std::to_string(context));
    }
  }
}

// Reads the first `count` tokens at once, decodes the rest: all logits from position `count` on against the network's.
void expect_prefill(Case& c, std::int64_t count, double tolerance, const std::string& what) {
  const std::int64_t T = c.model.context, V = c.model.vocabulary;
  const std::vector<float> whole = c.whole();
  Decoder decoder(*c.backend, c.model, {kSequences, T, c.type});
  decoder.step(c.weights(), c.before(0).data());  // what was decoded before is forgotten
  std::vector<std::int32_t> tokens;
  for (std::int64_t b = 0; b < kSequences; ++b)
    for (std::int64_t t = 0; t < count; ++t) tokens.push_back(c.tokens[static_cast<std::size_t>(b * T + t)]);
  std::vector<float> found, expected;
  const float* logits = decoder.prefill(c.weights(), tokens.data(), count);
  EXPECT_EQ(decoder.position(), count + 1);
  for (std::int64_t at = count; at < T; ++at) {
    if (at > count) logits = decoder.step(c.weights(), c.before(at).data());
    found.insert(found.end(), logits, logits + kSequences * V);
    for (std::int64_t b = 0; b < kSequences; ++b) {
      const auto row = whole.begin() + (b * T + at) * V;
      expected.insert(expected.end(), row, row + V);
    }
  }
  expect_near(found, expected, tolerance, what + " after " + std::to_string(count));
}

TEST(Decoder, GoesOnFromTokensReadAtOnceForEveryPattern) {
  for (const std::string& layout : kLayouts) {
    Case c(model_with(layout), DType::float32);
    for (const std::int64_t count : {0, 1, 7, 16, 23, 40, 44}) expect_prefill(c, count, kFloat32, layout);
  }
}

TEST(Decoder, GoesOnFromTokensReadAtOnceInBfloat16) {
  for (const char* layout : {"fixed(8,2)", R"j(["local(6)", "column(7)"])j"}) {
    Case c(model_with(layout), DType::bfloat16);
    for (const std::int64_t count : {9, 30}) expect_prefill(c, count, kBfloat16, layout);
  }
}

TEST(Decoder, GoesOnFromTokensReadAtOnceWithHashEmbeddingsAndConvolution) {
  ModelConfig model = model_with("fixed(8,2)");
  model.hash_orders = {1, 3, 4};
  model.hash_buckets = 29;
  model.convolution = 5;
  Case c(model, DType::float32);
  for (const std::int64_t count : {1, 2, 17}) expect_prefill(c, count, kFloat32, "hashed");
}

TEST(Decoder, ReadsSequencesThatBeginAlikeOnce) {
  Case c(model_with("fixed(8,2)"), DType::float32);
  const std::int64_t T = c.model.context;
  std::copy_n(c.tokens.begin(), 20, c.tokens.begin() + T);  // they part at position 20
  expect_prefill(c, 20, kFloat32, "alike");
}

TEST(Decoder, AnyNumberOfThreadsGivesTheSameBits) {
  ModelConfig model = model_with("fixed(8,2)");
  model.width = 192;  // products large enough for threads
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Case c(model, type);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3}) {
      set_threads(threads);
      Decoder decoder(*c.backend, c.model, {kSequences, c.model.context, c.type});
      results.push_back(c.decoded(decoder));
    }
    set_threads(0);
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST(Decoder, RoundsProductsToBfloat16AsTheWholeSequenceDoes) {
  for (const char* layout : {"fixed(8,2)", R"j(["local(6)", "column(7)"])j"}) {
    Case c(model_with(layout), DType::bfloat16);
    Decoder decoder(*c.backend, c.model, {kSequences, c.model.context, c.type});
    expect_near(c.decoded(decoder), c.whole(), kBfloat16, layout);
  }
}

TEST(Decoder, GivesTheSameBitsAgainAfterARestart) {
  Case c(model_with("fixed(8,2)"), DType::float32);
  Decoder decoder(*c.backend, c.model, {kSequences, c.model.context, c.type});
  const std::vector<float> first = c.decoded(decoder);
  EXPECT_EQ(decoder.position(), c.model.context);
  decoder.restart();
  EXPECT_EQ(decoder.position(), 0);
  EXPECT_EQ(c.decoded(decoder), first);
}

TEST(Decoder, NeedsRoomForNoMorePositionsThanItWillDecode) {
  Case c(model_with("fixed(8,2)"), DType::float32);
  const std::vector<float> expected = c.whole();
  Decoder decoder(*c.backend, c.model, {1, 20, c.type});
  for (std::int64_t at = 0; at < 20; ++at) {
    const float* logits = decoder.step(c.weights(), c.before(at).data());
    for (std::int64_t v = 0; v < c.model.vocabulary; ++v) {
      EXPECT_NEAR(logits[v], expected[static_cast<std::size_t>(at * c.model.vocabulary + v)], 1e-4);
    }
  }
}

TEST(Decoder, KeepsWhatThePatternReadsAndNoMore) {
  const auto slots = [](const std::string& layout, std::int64_t n) {
    return DecoderMemory(model_with(layout, n), {1, n, DType::float32}).slots;
  };
  using Slots = std::vector<std::int64_t>;  // of a block's 3 heads
  for (const std::int64_t n : {100, 1000}) {
    EXPECT_EQ(slots("local(8)", n), Slots{3 * 9});
    EXPECT_EQ(slots("row(8)", n), Slots{3 * 8});
    EXPECT_EQ(slots("column(8)", n), Slots{3 * n});
    EXPECT_EQ(slots("summary(10,2)", n), Slots{3 * 2 * n / 10});
    EXPECT_EQ(slots("fixed(10,2)", n), Slots{3 * (10 + 2 * n / 10)});
    EXPECT_EQ(slots(R"j(["local(8)", "column(8)"])j", n), (Slots{3 * 9, 3 * n}));
  }
}

TEST(Decoder, SharesSlotListsAmongHeadsAndBlocksOfOnePattern) {
  const auto patterns = [](const std::string& layout) {
    return DecoderMemory(model_with(layout), {1, 45, DType::float32}).patterns.size();
  };
  EXPECT_EQ(patterns("strided(8)"), 1u);
  EXPECT_EQ(patterns(R"j(["column(8)", "window(8)", "window(8)", "window(8)"])j"), 2u);
  EXPECT_EQ(patterns("fixed(8,2)"), 3u);  // each head has a sub-block of its own
}

TEST(Decoder, ReadsAsManySlotsAStepAsThePatternHasKeys) {
  for (const std::string& layout : kLayouts) {
    const ModelConfig model = model_with(layout);
    const DecoderMemory memory(model, {1, model.context, DType::float32});
    for (std::size_t p = 0; p < memory.patterns.size(); ++p) {
      for (std::int64_t i = 0; i < model.context; ++i) {
        std::vector<std::int32_t> read, write;
        memory.layouts[p].read_slots(i, read);
        memory.layouts[p].write_slots(i, write);
        EXPECT_EQ(static_cast<std::int64_t>(read.size()), count_keys(memory.patterns[p], i)) << layout << " at " << i;
        EXPECT_LE(static_cast<std::int64_t>(read.size()), memory.most_reads);
        EXPECT_LE(static_cast<std::int64_t>(write.size()), memory.most_writes);
      }
    }
  }
}

TEST(Decoder, SaysItsMemoryBeforeItIsMade) {
  const ModelConfig model = model_with("local(8)", 1000);
  const DecoderShape shape{2, 1000, DType::float32};
  // 3 blocks of 2 sequences, 3 heads and 9 slots: keys of 4 and values of 8 floats. Buffers are whole cache lines.
  const auto parts = Decoder::memory(model, shape);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].first, "decoder cache");
  EXPECT_NEAR(static_cast<double>(parts[0].second), 3 * 2 * 3 * 9 * (4 + 8) * 4, 6 * 63);
  EXPECT_EQ(Decoder::bytes(model, shape), parts[0].second + parts[1].second);
}

TEST(Decoder, RefusesWhatItCannotDecode) {
  const auto words = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      return error.what();
    }
    return "no error";
  };
  Case c(model_with("dense"), DType::float32);
  const auto make = [&](std::int64_t sequences, std::int64_t length) {
    return words([&] { Decoder(*c.backend, c.model, {sequences, length, DType::float32}); });
  };
  EXPECT_EQ(make(0, 45), "decoder: needs at least 1 sequence, got 0");
  EXPECT_EQ(make(1, 46), "decoder: needs a length of 1 to 45 positions, got 46 (the model's context is 45)");
  EXPECT_EQ(make(1, 0), "decoder: needs a length of 1 to 45 positions, got 0 (the model's context is 45)");
  Decoder decoder(*c.backend, c.model, {1, 2, DType::float32});
  const auto step = [&](std::int32_t token) { return words([&] { decoder.step(c.weights(), &token); }); };
  EXPECT_EQ(step(3), "decoder: position 0 needs a token before it in [-1, -1], got 3");
  EXPECT_EQ(step(-1), "no error");
  EXPECT_EQ(step(19), "decoder: position 1 needs a token before it in [0, 18], got 19");
  EXPECT_EQ(step(18), "no error");
  EXPECT_EQ(step(18), "decoder: position 2 is beyond its length of 2");
  const std::int32_t tokens[] = {3, 19};
  const auto prefill = [&](std::int64_t count) { return words([&] { decoder.prefill(c.weights(), tokens, count); }); };
  EXPECT_EQ(prefill(2), "decoder: needs 0 to 1 tokens to read at once, got 2");
  EXPECT_EQ(prefill(-1), "decoder: needs 0 to 1 tokens to read at once, got -1");
  EXPECT_EQ(words([&] { decoder.prefill(c.weights(), tokens + 1, 1); }),
            "network: token 19 is outside the vocabulary of 19");
  EXPECT_EQ(words([&] { decoder.assume(2); }), "decoder: needs a position of 0 to 1, got 2");
}

}  // namespace
}  // namespace longstride
