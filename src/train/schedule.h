// The learning rate of each update (docs/model.md, section 3): linear warm-up, then half a cosine down to the final
// rate.
#pragma once

#include <cstdint>

#include "longstride/config.h"

namespace longstride {

// update: 1 for the first. Warm-up: rate * update / warmup_steps for update <= warmup_steps. After it, with t from 0 at
// its end to 1 at the last update: rate * (f + (1 - f) (1 + cos(pi t)) / 2), f = final_rate.
double learning_rate_by_steps(const TrainingConfig& training, std::int64_t update);

// Automatic warm-up by the clock is over after so much of the time, or after as many steps as by steps at most.
inline constexpr double kMostWarmShare = 0.1;

// Whether an update by the clock belongs to warm-up, as the share of time used says where warm-up is automatic.
bool is_warming_up(const TrainingConfig& training, std::int64_t update, double share);

// The same by the clock (training.minutes): t from the share of time used. share: now; warm_share: when warm-up ended.
// Automatic warm-up rises to where it ends first: rate * max(update / 5000, share / 0.1).
double learning_rate_by_clock(const TrainingConfig& training, std::int64_t update, double share, double warm_share);

}  // namespace longstride
