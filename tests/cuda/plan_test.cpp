// These tests hold what a plan says of a card's memory against what a run of it has taken there.
#include "longstride/plan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/host/memory.h"
#include "error_words.h"
#include "train/limits.h"
#include "train/training.h"

namespace longstride {
namespace {

class PlanOnACard : public Training {
 protected:
  void TearDown() override {
    cuda::host::set_memory(std::int64_t{8} << 30);
    Training::TearDown();
  }
  // With samples, whose cache and activations lie on the card too.
  Config config_on_card(const std::string& precision) const {
    Config c = read_config({write_config(config(1))}, {"test"},
                           {"training.device=cuda", "training.precision=" + precision, "training.sample_minutes=10",
                            "training.ema=0.9", "model.vocabulary=2048", "model.layers=1"});
    return c;
  }
};

TEST_F(PlanOnACard, IsWhatARunHasTakenThereAtItsPeak) {
  for (const char* precision : {"float32", "bfloat16"}) {
    const Config c = config_on_card(precision);
    const Plan plan = plan_training(c);
    EXPECT_EQ(plan.device, "cuda");
    EXPECT_EQ(plan.device_name, "a card that is interpreted");
    EXPECT_TRUE(plan.fits);
    const std::int64_t before = cuda::host::memory_use().taken_bytes;
    cuda::host::count_most_taken();
    EXPECT_EQ(run(c, precision).step, 1);
    EXPECT_EQ(cuda::host::memory_use().taken_bytes, before) << "all was given back";
    const auto taken = static_cast<double>(cuda::host::memory_use().most_taken_bytes - before),
               planned = static_cast<double>(plan.total_bytes - kCardProgramBytes);
    EXPECT_NEAR(taken, planned, 0.02 * planned) << precision;
  }
}

TEST_F(PlanOnACard, SaysBeforeTheRunThatTheCardIsTooSmallAndWhatHelps) {
  Config c = config_on_card("float32");
  c.training.batch = 64;
  const Plan large = plan_training(c);
  ASSERT_TRUE(large.fits);
  const std::int64_t there = kCardProgramBytes + (large.total_bytes - kCardProgramBytes) / 2;
  cuda::host::set_memory(there);
  const Plan plan = plan_training(c);
  EXPECT_FALSE(plan.fits);
  EXPECT_NEAR(static_cast<double>(plan.memory_available_bytes), static_cast<double>(there), 1000);
  EXPECT_EQ(plan.advice.substr(0, 4), "try ") << plan.advice;
  const std::string words = error_words(ErrorKind::exhausted, [&] { run(c, "large"); });
  EXPECT_NE(words.find(" of memory of a card that is interpreted, "), std::string::npos) << words;
  EXPECT_NE(words.find(plan.advice), std::string::npos) << words;
  EXPECT_FALSE(fs::exists(path("large")));
}

TEST_F(PlanOnACard, CountsTheHostBesides) {
  Config c = config_on_card("float32");
  const Plan plan = plan_training(c);
  EXPECT_GT(plan.host_bytes, kProgramBytes + kCardHostBytes);
  EXPECT_LT(plan.host_bytes, kProgramBytes + kCardHostBytes + (1 << 20));
  EXPECT_GT(plan.host_available_bytes, plan.host_bytes);
  c.training.accumulate = 2, c.training.lanes = 2;
  const std::int64_t detour = plan_training(c, 2, 1).host_bytes - kCarrierBytes - plan.host_bytes;
  EXPECT_GT(detour, plan.parameters * 4) << "what two exchange goes through it";
  EXPECT_LT(detour, plan.parameters * 4 * 6);
  c.training.device = Device::cpu;
  EXPECT_EQ(plan_training(c).host_bytes, 0);
}

TEST_F(PlanOnACard, DoesNotKnowHowLongAStepTakesThatIsTooLongToBeTried) {
  Config c = config_on_card("float32");
  EXPECT_GT(measure_step(c, plan_training(c)), 0);
  c.model.context = 4096, c.model.width = 256, c.model.positions = {64, 64};
  EXPECT_EQ(measure_step(c, plan_training(c)), 0);
}

}  // namespace
}  // namespace longstride
