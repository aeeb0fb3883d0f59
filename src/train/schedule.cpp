// This computes the learning rate of an update.
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longstride {

namespace {

double scheduled(const TrainingConfig& training, std::int64_t update, double t) {
  if (update <= training.warmup_steps)
    return training.learning_rate * static_cast<double>(update) / static_cast<double>(training.warmup_steps);
  const double cosine = (1 + std::cos(std::numbers::pi * std::clamp(t, 0.0, 1.0))) / 2;
  return training.learning_rate * (training.final_rate + (1 - training.final_rate) * cosine);
}

}  // namespace

double learning_rate_by_steps(const TrainingConfig& training, std::int64_t update) {
  const auto rest = static_cast<double>(training.steps - training.warmup_steps);
  return scheduled(training, update, rest > 0 ? static_cast<double>(update - training.warmup_steps) / rest : 1);
}

double learning_rate_by_clock(const TrainingConfig& training, std::int64_t update, double share, double warm_share) {
  return scheduled(training, update, warm_share < 1 ? (share - warm_share) / (1 - warm_share) : 1);
}

}  // namespace longstride
