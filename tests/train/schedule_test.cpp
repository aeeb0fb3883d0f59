// These tests hold the learning rate against its formula.
#include "train/schedule.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(LearningRate, RisesInALineAndFallsByHalfACosine) {
  TrainingConfig training;
  training.steps = 110;
  training.warmup_steps = 10;
  training.learning_rate = 2;
  training.final_rate = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 1), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 10), 2);
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 60), 2 * (0.1 + 0.9 / 2));
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 110), 0.2);
}

TEST(LearningRate, StaysInWarmUpWhereTheRunIsShorterThanIt) {
  TrainingConfig training;
  training.steps = 5;
  training.warmup_steps = 10;
  training.learning_rate = 1;
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 5), 0.5);
}

TEST(LearningRate, ByTheClockFollowsTheShareOfTimeLeftAfterWarmUp) {
  TrainingConfig training;
  training.warmup_steps = 10;
  training.learning_rate = 1;
  training.final_rate = 0;
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 5, 0.3, 0.3), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 11, 0.2, 0.2), 1);
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 50, 0.6, 0.2), 0.5);
  EXPECT_NEAR(learning_rate_by_clock(training, 90, 1, 0.2), 0, 1e-15);
}

}  // namespace
}  // namespace longstride
