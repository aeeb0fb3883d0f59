// These tests ask what would make a run fit, of runs that fit by a made-up rule.
#include "train/advice.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

Config large() {
  Config config;
  config.model.layers = 12;
  config.training.batch = 8;
  return config;
}

TEST(Advice, IsTheFirstChangeThatHelps) {
  const auto advice = [](const auto& fits) { return advice_for(large(), fits); };
  EXPECT_EQ(advice([](const Config& c) { return c.training.recompute == Recompute::block; }),
            "try --set training.recompute=block");
  EXPECT_EQ(advice([](const Config& c) { return c.training.batch <= 2; }),
            "try --batch 2 --set training.recompute=block");
  EXPECT_EQ(advice([](const Config& c) { return c.training.precision == Precision::bfloat16; }),
            "try --batch 1 --precision bfloat16 --set training.recompute=block");
  EXPECT_EQ(advice([](const Config& c) { return c.model.layers == 3; }),
            "try --set model.layers=3 --batch 1 --precision bfloat16 --set training.recompute=block");
}

TEST(Advice, NamesNoChangeWhereNoneHelps) {
  EXPECT_EQ(advice_for(large(), [](const Config&) { return false; }),
            "no smaller batch, number format or number of layers helps; a smaller width or context is needed");
}

TEST(Advice, ChangesNothingThatIsSoAlready) {
  Config config = large();
  config.training.recompute = Recompute::block;
  config.training.batch = 1;
  EXPECT_EQ(advice_for(config, [](const Config&) { return true; }), "try --precision bfloat16");
}

}  // namespace
}  // namespace longstride
