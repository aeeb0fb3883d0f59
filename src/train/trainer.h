// One training step: data, passes forward and backward, clipping, update. No files but the data's; nothing goes by the
// clock, which only says how long the data took.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "data/order.h"
#include "longstride/config.h"
#include "model/network.h"
#include "parallel/world.h"
#include "train/parcel.h"
#include "train/state.h"

namespace longstride {

class Trainer {
 public:
  // config: resolved (no automatic choices left). data must hold a training part of one context at least. world: that
  // of `state`; its processes take a share of each step's windows.
  Trainer(Backend& backend, const Config& config, const Dataset& data, TrainState& state,
          World& world = world_of_one());

  struct Result {
    double loss_bits = 0;      // mean over the tokens scored
    double gradient_norm = 0;  // before clipping
    double load_s = 0;         // of the step, spent waiting for data
    double exchange_s = 0;     // of the step, spent waiting for other processes
    bool skipped = false;      // loss or gradient not finite: weights untouched
  };
  // Step `progress.step` (0-based) at this learning rate, of the windows from `progress.windows` on. Advances both,
  // updates and the counts of skips.
  Result step(Progress& progress, double rate);

  // After a step that was skipped, before the next: a sentence's end that names the weights, the layer and tensor of
  // the forward pass, or else the gradient, that is not finite and comes first. Computes the step once more, without
  // dropout.
  std::string first_not_finite();

  std::int64_t windows_per_step() const { return config_.training.batch * config_.training.accumulate; }
  std::int64_t tokens_per_step() const { return tokens_of_step(config_.model, config_.training); }
  Network& network() { return network_; }  // between steps: for scoring
  double epoch(std::int64_t windows) const { return order_.epoch(windows); }

 private:
  void read_windows(std::int64_t first);
  double scored_tokens(std::int64_t first) const;
  std::string activation_not_finite();

  Backend& backend_;
  World& world_;
  Config config_;
  const Dataset& data_;
  TrainState& state_;
  ByteRange part_;
  DataOrder order_;
  Network network_;
  std::vector<std::uint8_t> bytes_, scored_;  // (batch, n)
  std::vector<std::int32_t> tokens_;          // (batch, n)
  std::int64_t first_window_ = 0;             // of the last step
  Executable::AtMark at_mark_;                // of a step's last pass; none where nothing is to be told
};

}  // namespace longstride
