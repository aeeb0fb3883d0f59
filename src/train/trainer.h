// One training step: data, passes forward and backward, clipping, update. No files but the data's; nothing goes by the
// clock, which only says how long the data took.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "data/order.h"
#include "longstride/config.h"
#include "model/network.h"
#include "train/state.h"

namespace longstride {

class Trainer {
 public:
  // config: resolved (no automatic choices left). data must hold a training part of one context at least.
  Trainer(Backend& backend, const Config& config, const Dataset& data, TrainState& state);

  struct Result {
    double loss_bits = 0;      // mean over the tokens scored
    double gradient_norm = 0;  // before clipping
    double load_s = 0;         // of the step, spent waiting for data
    bool skipped = false;      // loss or gradient not finite: weights untouched
  };
  // Step `progress.step` (0-based) at this learning rate. Advances progress.step, updates and the counts of skips.
  Result step(Progress& progress, double rate);

  // After a step that was skipped, before the next: a sentence's end that names the weights, the layer and tensor of
  // the forward pass, or else the gradient, that is not finite and comes first. Computes the step once more, without
  // dropout.
  std::string first_not_finite(std::int64_t step);

  std::int64_t windows_per_step() const { return config_.training.batch * config_.training.accumulate; }
  std::int64_t tokens_per_step() const { return windows_per_step() * config_.model.context; }
  Network& network() { return network_; }  // between steps: for scoring
  double epoch(std::int64_t step) const { return order_.epoch(step * windows_per_step()); }

 private:
  void read_windows(std::int64_t first);
  std::string activation_not_finite(std::int64_t step);

  Backend& backend_;
  Config config_;
  const Dataset& data_;
  TrainState& state_;
  ByteRange part_;
  DataOrder order_;
  Network network_;
  std::vector<std::uint8_t> bytes_, scored_;  // (batch, n)
  std::vector<std::int32_t> tokens_;          // (batch, n)
  double scored_tokens_ = 0;                  // of the windows at hand
};

}  // namespace longstride
