// These tests ask what would make a run fit, of runs that fit by a made-up rule.
#include "train/advice.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

constexpr const char* kNeeded = "a smaller model.width";

Config large() {
  Config config;
  config.model.layers = 12;
  config.training.batch = 8;
  return config;
}

TEST(Advice, IsTheFirstChangeThatHelps) {
  const auto advice = [](const auto& fits) { return advice_for(large(), fits, kNeeded); };
  EXPECT_EQ(advice([](const Config& c) { return c.training.recompute == Recompute::block; }),
            "try --set training.recompute=block");
  EXPECT_EQ(advice([](const Config& c) { return c.training.batch <= 3; }), "try --batch 3");
  EXPECT_EQ(advice([](const Config& c) { return c.training.batch <= 2 && c.training.recompute == Recompute::block; }),
            "try --batch 2 --set training.recompute=block");
  EXPECT_EQ(advice([](const Config& c) { return c.training.precision == Precision::bfloat16; }),
            "try --batch 1 --precision bfloat16");
  EXPECT_EQ(advice([](const Config& c) { return c.model.layers <= 5; }), "try --layers 5 --batch 1");
  EXPECT_EQ(advice([](const Config& c) { return c.model.layers <= 1; }), "try --layers 1 --batch 1");
}

TEST(Advice, IsTheSameForAnySizeThatIsTooLarge) {
  const auto fits = [](const Config& c) { return c.model.layers * c.training.batch <= 11; };
  for (const std::int64_t layers : {12, 13, 64, 1000, 4096}) {
    for (const std::int64_t batch : {2, 7, 4096}) {
      Config config = large();
      config.model.layers = layers;
      config.training.batch = batch;
      EXPECT_EQ(advice_for(config, fits, kNeeded), "try --layers 11 --batch 1") << layers << " " << batch;
      config.model.layers = 2;
      config.training.batch = 6 * batch;
      EXPECT_EQ(advice_for(config, fits, kNeeded), "try --batch 5") << batch;
    }
  }
}

// A plan of thousands of layers takes seconds.
TEST(Advice, AsksForFewPlans) {
  Config config = large();
  config.model.layers = 4096;
  config.training.batch = 65536;
  int asked = 0;
  const auto fits = [&](const Config& c) {
    ++asked;
    return c.model.layers <= 100;
  };
  EXPECT_EQ(advice_for(config, fits, kNeeded), "try --layers 100 --batch 1");
  EXPECT_LT(asked, 30);
}

TEST(Advice, NamesNoChangeWhereNoneHelps) {
  EXPECT_EQ(advice_for(
                large(), [](const Config&) { return false; }, kNeeded),
            "no smaller batch, number format or number of layers helps; a smaller model.width is needed");
}

TEST(Advice, ChangesNothingThatIsSoAlready) {
  Config config = large();
  config.training.recompute = Recompute::block;
  config.training.batch = 1;
  EXPECT_EQ(advice_for(
                config, [](const Config& c) { return c.training.precision == Precision::bfloat16; }, kNeeded),
            "try --precision bfloat16");
}

}  // namespace
}  // namespace longstride
