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

#include "longstride/config.h"
#include "longstride/origin.h"
#include "model/network.h"
#include "model/parameters.h"
#include "ops/buffer.h"
#include "train/progress.h"

namespace longstride {

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

  // Of what holds values that are not finite: the name of the first parameter, and of the last one that has such a
  // gradient, where the backward pass met it first. Empty: none.
  std::string first_weight_not_finite() const;
  std::string last_gradient_not_finite() const;

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
  std::vector<std::string> not_finite(const Buffer& store) const;
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
