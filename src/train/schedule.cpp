// This computes the learning rate of an update.
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/config_fields.h"

namespace longstride {

namespace {

bool is_automatic(const TrainingConfig& training) { return training.warmup_steps == TrainingConfig::kAutomaticWarmup; }

double rising(const TrainingConfig& training, std::int64_t update, std::int64_t warmup_steps) {
  return training.learning_rate * static_cast<double>(update) / static_cast<double>(warmup_steps);
}

double falling(const TrainingConfig& training, double t) {
  const double cosine = (1 + std::cos(std::numbers::pi * std::clamp(t, 0.0, 1.0))) / 2;
  return training.learning_rate * (training.final_rate + (1 - training.final_rate) * cosine);
}

}  // namespace

double learning_rate_by_steps(const TrainingConfig& training, std::int64_t update) {
  const std::int64_t warmup_steps = is_automatic(training) ? automatic_warmup(training.steps) : training.warmup_steps;
  if (update <= warmup_steps) return rising(training, update, warmup_steps);
  const auto rest = static_cast<double>(training.steps - warmup_steps);
  return falling(training, rest > 0 ? static_cast<double>(update - warmup_steps) / rest : 1);
}

bool is_warming_up(const TrainingConfig& training, std::int64_t update, double share) {
  if (is_automatic(training)) return update <= kMostWarmup && share < kMostWarmShare;
  return update <= training.warmup_steps;
}

double learning_rate_by_clock(const TrainingConfig& training, std::int64_t update, double share, double warm_share) {
  if (is_warming_up(training, update, share)) {
    if (!is_automatic(training)) return rising(training, update, training.warmup_steps);
    return std::max(rising(training, update, kMostWarmup), training.learning_rate * share / kMostWarmShare);
  }
  return falling(training, warm_share < 1 ? (share - warm_share) / (1 - warm_share) : 1);
}

}  // namespace longstride
