// These tests hold the engine's logits against the network's at every position.
#include "model/engine.h"

#include "longstride/device.h"
#include "model/engine_case.h"

namespace longstride {
namespace {

TEST(Engine, GivesTheLogitsOfTheWholeSequenceForEveryPattern) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    for (const std::string& layout : kLayouts) {
      const EngineCase c(model_with(layout), type);
      expect_near(c.decoded(), c.whole(), tolerance_of(type), layout);
    }
  }
}

TEST(Engine, GivesTheLogitsOfTheWholeSequenceWithHashEmbeddingsAndConvolution) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const EngineCase c(hashed(model_with("fixed(8,2)")), type);
    Engine engine = c.engine(kSequences);
    const Engine::Sequence first = engine.join(), second = engine.join();
    const std::vector<float> whole = c.whole();
    for (const char* what : {"hashed", "hashed, again"}) {
      engine.restart(first), engine.restart(second);
      expect_near(c.decoded(engine, first, second), whole, tolerance_of(type), what);
    }
  }
}

TEST(Engine, GivesTheLogitsOfTheWholeSequenceForLengthsThatNothingDivides) {
  for (const std::int64_t context : {1, 2, 3, 31, 97}) {
    for (const char* layout :
         {"fixed(8,3)", "strided(10)", R"j([["row(7)", "summary(7,2)", "digits(3,2)"], "dense"])j"}) {
      const EngineCase c(model_with(layout, context), DType::float32);
      expect_near(c.decoded(), c.whole(), kFloat32, std::string(layout) + " of " + std::to_string(context));
    }
  }
}

// Heads without a slot: their attention is 0.
TEST(Engine, GivesTheLogitsOfTheWholeSequenceWhereNoQueryOfABlockReadsAKey) {
  for (const char* layout : {"summary(64,2)", "previous_row(64)", R"j(["row(64)", "summary(64,8)"])j",
                             R"j([["summary(50,2)", "previous_row(45)", "summary(46,1)"]])j"}) {
    const EngineCase c(model_with(layout), DType::float32);
    expect_near(c.decoded(), c.whole(), kFloat32, layout);
    EXPECT_GT(CacheShape(c.model, {1, 1, DType::float32}).bytes, 0) << layout;
  }
}

// Reads the first `count` tokens at once, decodes the rest: all logits from position `count` on against the network's.
void expect_goes_on(const EngineCase& c, std::int64_t count, double tolerance, const std::string& what) {
  const std::int64_t T = c.model.context, V = c.model.vocabulary;
  const std::vector<float> whole = c.whole();
  Engine engine = c.engine(1);
  const Engine::Sequence place = engine.join();
  std::vector<float> found, expected;
  for (std::int64_t b = 0; b < kSequences; ++b) {
    engine.restart(place);  // what was decoded before is forgotten
    const float* logits = engine.read(place, c.sequence(b).first(static_cast<std::size_t>(count)));
    EXPECT_EQ(engine.position(place), count + 1);
    for (std::int64_t at = count; at < T; ++at) {
      if (at > count) {
        const Engine::Next next = c.next(engine, place, b);
        logits = engine.step({&next, 1});
      }
      found.insert(found.end(), logits, logits + V);
      const auto row = whole.begin() + (b * T + at) * V;
      expected.insert(expected.end(), row, row + V);
    }
  }
  expect_near(found, expected, tolerance, what + " after " + std::to_string(count));
}

TEST(Engine, GoesOnFromTokensReadAtOnceForEveryPattern) {
  for (const std::string& layout : kLayouts) {
    const EngineCase c(model_with(layout), DType::float32);
    for (const std::int64_t count : {0, 1, 7, 16, 23, 40, 44}) expect_goes_on(c, count, kFloat32, layout);
  }
}

TEST(Engine, GoesOnFromTokensReadAtOnceInBfloat16) {
  for (const char* layout : {"fixed(8,2)", R"j(["local(6)", "column(7)"])j"}) {
    const EngineCase c(model_with(layout), DType::bfloat16);
    for (const std::int64_t count : {9, 30}) expect_goes_on(c, count, kBfloat16, layout);
  }
}

TEST(Engine, GoesOnFromTokensReadAtOnceWithHashEmbeddingsAndConvolution) {
  const EngineCase c(hashed(model_with("fixed(8,2)")), DType::float32);
  for (const std::int64_t count : {1, 2, 17}) expect_goes_on(c, count, kFloat32, "hashed");
}

TEST(Engine, NeedsRoomForNoMorePositionsThanItWillDecode) {
  const EngineCase c(model_with("fixed(8,2)"), DType::float32);
  const std::vector<float> expected = c.whole();
  Engine engine = c.engine(1, 20);
  const Engine::Sequence place = engine.join();
  for (std::int64_t at = 0; at < 20; ++at) {
    const Engine::Next next = c.next(engine, place, 0);
    const float* logits = engine.step({&next, 1});
    for (std::int64_t v = 0; v < c.model.vocabulary; ++v) {
      EXPECT_NEAR(logits[v], expected[static_cast<std::size_t>(at * c.model.vocabulary + v)], 1e-4);
    }
  }
}

TEST(Engine, AnyNumberOfThreadsGivesTheSameBits) {
  ModelConfig model = model_with("fixed(8,2)", 90);
  model.width = 192;  // products large enough for threads
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const EngineCase c(model, type);
    std::vector<std::vector<float>> stepped, read;
    for (const int threads : {1, 2, 3}) {
      set_threads(threads);
      stepped.push_back(c.decoded());
      Engine engine = c.engine(1);
      const float* logits = engine.read(engine.join(), c.sequence(0).first(80));
      read.emplace_back(logits, logits + model.vocabulary);
    }
    set_threads(0);
    EXPECT_EQ(stepped[0], stepped[1]);
    EXPECT_EQ(stepped[0], stepped[2]);
    EXPECT_EQ(read[0], read[1]);
    EXPECT_EQ(read[0], read[2]);
  }
}

TEST(Engine, ChangesItsNumberOfThreadsBetweenSteps) {
  const EngineCase c(model_with("fixed(8,2)"), DType::float32);
  const std::vector<float> expected = c.alone(c.sequence(0));
  Engine engine = c.engine(1);
  const Engine::Sequence place = engine.join();
  for (std::int64_t at = 0; at < c.model.context; ++at) {
    set_threads(static_cast<int>(1 + at % 3));
    const Engine::Next next = c.next(engine, place, 0);
    EXPECT_TRUE(c.are_those(engine.step({&next, 1}), expected, at)) << at;
  }
  set_threads(0);
}

TEST(Engine, SaysItsMemoryBeforeItIsMade) {
  const ModelConfig model = model_with("local(8)", 1000);
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  // 3 blocks of 2 sequences, 3 heads and 9 slots: keys of 4 and values of 8 floats. Buffers are whole cache lines.
  const auto parts = Engine::memory(*backend, model, {2, 1000, DType::float32});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].first, "decoder_cache");
  EXPECT_NEAR(static_cast<double>(parts[0].second), 3 * 2 * 3 * 9 * (4 + 8) * 4, 6 * 63);
  EXPECT_EQ(parts[1].first, "decoder_activations");
  // At least the residual stream and the logits of the 64 rows that are read at a time: 64 x 24 floats.
  EXPECT_GT(parts[1].second, 64 * 24 * 4);
}

}  // namespace
}  // namespace longstride
