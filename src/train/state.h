// All that training carries from step to step: weights, moments, average, and where it stands. What is saved here and
// the configuration determine every later step, to the bit.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "longstride/config.h"
#include "longstride/origin.h"
#include "model/network.h"
#include "model/parameters.h"
#include "ops/buffer.h"

namespace longstride {

// Where a run stands. Saved in the metadata of state.safetensors.
struct Progress {
  std::int64_t step = 0;     // steps done, skipped ones included
  std::int64_t updates = 0;  // steps that changed the weights
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;
  double elapsed_s = 0;      // of training, over all its sessions
  double warm_share = 0;     // by the clock: the share of time used when warm-up ended
  double smoothed_bits = 0;  // exponential average of loss_bits
  double best_bits = 0;      // lowest on validation so far; meaningless where best_step is -1
  std::int64_t best_step = -1;
  double valid_bits = -1;         // the last validation; -1: none
  std::int64_t valid_tokens = 0;  // that a validation scores; 0: not chosen yet
  double tokens_per_s = 0;        // of training, smoothed
  DataMark data;                  // that all of it was trained on; unknown in states of version 0.1.0
  std::optional<Origin> origin;   // of what trained it last; unknown in older states
};

// Parameters in all their copies, in a backend's memory, and the programs that move them.
class TrainState {
 public:
  TrainState(Backend& backend, const ModelConfig& model, const TrainingConfig& training, DType activations);

  void initialise(std::int64_t seed);

  // A step: begin, passes that add to outputs(), update.
  void begin();  // gradients and bits are 0
  struct Sums {
    double bits = 0;  // of all losses of the step
    double norm = 0;  // of the whole gradient, before clipping
    bool finite() const { return std::isfinite(bits) && std::isfinite(norm); }
  };
  // AdamW with clipped gradients, as update number `update` (from 1 on) at this rate. Where a sum is not finite
  // nothing changes.
  Sums update(double rate, std::int64_t update);

  Weights weights() const { return {&table_, weights_.f32(), rounded_.bf16()}; }
  TrainingOutputs outputs() const { return {{&table_, gradients_.f32(), nullptr}, bits()}; }
  const ParameterTable& table() const { return table_; }

  // While it lives, weights() hold the average (where it is on): for validation and samples.
  class Averaged {
   public:
    explicit Averaged(TrainState& state) : state_(state) { state_.exchange(); }
    ~Averaged() { state_.exchange(); }
    Averaged(const Averaged&) = delete;
    Averaged& operator=(const Averaged&) = delete;

   private:
    TrainState& state_;
  };

  // checkpoint: a directory that exists. Writes model.safetensors and state.safetensors.
  void save(const std::string& checkpoint, const Config& config, const Progress& progress) const;
  // Errors corrupt_data where one of the two is missing, damaged or does not fit the model.
  Progress load(const std::string& checkpoint);

  // Bytes by name, before anything is made.
  static std::vector<std::pair<std::string, std::int64_t>> memory(const ParameterTable& table, bool average,
                                                                  DType activations);

 private:
  Array<double> bits() const { return array(static_cast<double*>(sums_.data()), 1); }
  Array<double> norm() const { return array(static_cast<double*>(sums_.data()) + 1, 1); }
  Array<float> scale() const { return array(sums_.f32() + 4, 1); }
  void make_programs();
  void exchange();
  const float* host(const Buffer& buffer, std::vector<std::byte>& staging) const;
  void put(const Buffer& buffer, const std::vector<float>& values);

  Backend& backend_;
  ParameterTable table_;
  TrainingConfig training_;
  Buffer weights_, first_moment_, second_moment_, gradients_;
  Buffer average_;  // empty: off
  Buffer rounded_;  // bfloat16; empty with float32 activations
  Buffer sums_;     // bits, norm (double), scale (float)
  std::unique_ptr<Executable> begin_, update_, exchange_;
};

}  // namespace longstride
