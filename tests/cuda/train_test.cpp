// These tests train on a card, go on on the processor, and back: of the twin in cuda_test, of a card in card_test.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "train/training.h"

namespace longstride {
namespace {

constexpr std::int64_t kSteps = 6;

class TrainOnACard : public Training {
 protected:
  Config config_on(Device device, const std::string& precision) const {
    Config c = config(kSteps);
    c.model.context = 24, c.model.width = 16, c.model.layers = 1, c.model.positions = {5, 5};
    c.training.ema = 0.9;
    c.training.device = device;
    c.training.precision = precision == "float32" ? Precision::float32 : Precision::bfloat16;
    return c;
  }
  std::vector<double> losses() {
    std::vector<double> all;
    for (const StepReport& report : reports_) all.push_back(report.loss_bits);
    reports_.clear();
    return all;
  }
};

TEST_F(TrainOnACard, GoesOnElsewhereAndBack) {
  for (const char* precision : {"float32", "bfloat16"}) {
    const std::string name = precision;
    run(config_on(Device::cpu, precision), name + "-on-one");
    const std::vector<double> want = losses();
    run(config_on(Device::cuda, precision), name, 2);
    run(config_on(Device::cpu, precision), name, 4, true);
    run(config_on(Device::cuda, precision), name, -1, true);
    const std::vector<double> got = losses();
    ASSERT_EQ(got.size(), static_cast<std::size_t>(kSteps));
    ASSERT_EQ(want.size(), got.size());
    // Bits a byte; what rounding does to a gradient moves a weight by a share of a step.
    const double tolerance = name == "float32" ? 1e-4 : 2e-2;
    for (std::size_t step = 0; step < got.size(); ++step)
      EXPECT_NEAR(got[step], want[step], tolerance) << precision << ", step " << step + 1;
    EXPECT_LT(got.back(), got.front());
  }
}

TEST_F(TrainOnACard, GivesTheSameBitsAgainAndAfterAnInterruption) {
  for (const char* precision : {"float32", "bfloat16"}) {
    const std::string name = precision;
    run(config_on(Device::cuda, precision), name);
    run(config_on(Device::cuda, precision), name + "-again");
    EXPECT_EQ(model_bytes(name + "-again"), model_bytes(name)) << precision;
    run(config_on(Device::cuda, precision), name + "-halted", 3);
    run(config_on(Device::cuda, precision), name + "-halted", -1, true);
    EXPECT_EQ(model_bytes(name + "-halted"), model_bytes(name)) << precision;
  }
}

}  // namespace
}  // namespace longstride
