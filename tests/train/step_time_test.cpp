// These tests ask how long steps take; bench/planning holds the answers against steps.
#include <gtest/gtest.h>

#include "longstride/plan.h"

namespace longstride {
namespace {

double seconds_a_step(const std::vector<std::string>& assignments) {
  const Config config = read_config({}, {}, assignments);
  return measure_step(config, plan_training(config));
}

TEST(StepTime, OfAShortStepIsThatOfTheStep) {
  const double seconds = seconds_a_step({"model.context=64", "model.width=16", "model.layers=2"});
  EXPECT_GT(seconds, 0);
  EXPECT_LT(seconds, 10);
}

// Far apart, so that a busy machine does not matter: eight times the layers, from pieces of one and of three.
TEST(StepTime, OfALongStepGrowsWithItsLayers) {
  const auto of_layers = [](const std::string& layers) {
    return seconds_a_step({"model.context=8192", "model.width=256", "model.attention=[\"local(64)\", \"fixed(64,8)\"]",
                           "training.batch=8", "training.precision=float32", "training.recompute=block",
                           "model.layers=" + layers});
  };
  const double few = of_layers("8"), many = of_layers("64");
  EXPECT_GT(few, 0);
  EXPECT_GT(many, 2 * few);
}

}  // namespace
}  // namespace longstride
