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

// Automatic warm-up: a tenth of the time, or 5,000 steps where they are made sooner. It rises to where it ends first,
// so that a model of few steps a minute does not spend them all in it, and falls from there.
TEST(LearningRate, ByTheClockWarmsUpForATenthOfTheTimeOr5000Steps) {
  TrainingConfig training;
  training.warmup_steps = TrainingConfig::kAutomaticWarmup;
  training.learning_rate = 2;
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 1, 0, 0), 2 / 5000.0);
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 2, 0.05, 0.05), 1);
  EXPECT_TRUE(is_warming_up(training, 2, 0.05));
  EXPECT_FALSE(is_warming_up(training, 3, 0.1));
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 3, 0.1, 0.1), 2);
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 4000, 0.01, 0.01), 1.6);
  EXPECT_TRUE(is_warming_up(training, 5000, 0.01));
  EXPECT_FALSE(is_warming_up(training, 5001, 0.01));
  EXPECT_DOUBLE_EQ(learning_rate_by_clock(training, 9000, 0.55, 0.1), 1);  // half of the rest
  training.steps = 100;                                                    // the same run goes on by steps
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 5), 1);
  EXPECT_DOUBLE_EQ(learning_rate_by_steps(training, 55), 1);
}

}  // namespace
}  // namespace longstride
