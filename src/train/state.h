// All that training carries from step to step: weights, moments, average, and where it stands. What is saved here and
// the configuration determine every later step, to the bit.
//
// Where several processes train (parallel/world.h), each holds all weights as passes read them, and moments and average
// of the elements that it moves (train/shards.h); where passes read most weights rounded to bfloat16
// (train/float_tensors.h) it holds in float32 only what they read so, and what it moves. Everything but const functions
// is then called by all of them, in the same order.
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
#include "parallel/world.h"
#include "train/carriage.h"
#include "train/float_tensors.h"
#include "train/gradient_sum.h"
#include "train/progress.h"
#include "train/row_weights.h"
#include "train/shards.h"

namespace longstride {

// Parameters in all their copies, in a backend's memory, and the programs that move them.
class TrainState {
 public:
  // `world` outlives it; its size divides training.lanes.
  TrainState(Backend& backend, const ModelConfig& model, const TrainingConfig& training, DType activations,
             World& world = world_of_one());
  ~TrainState() { carriage_.end(); }  // before the memory that it carries

  // Where what the processes exchange takes a detour: why (train/carriage.h).
  const std::string& detour() const { return carriage_.detour(); }

  void initialise(std::int64_t seed);
  void initialise_from(const std::string& path);  // a .safetensors file of the same table. Errors: corrupt_data

  // A step: begin; for each lane of this process passes that add to outputs(), each lane but the last ended by
  // end_lane; update. While the last pass of all runs its marks are handed to segment_final, in order, if exchanges()
  // says so.
  void begin();                         // gradients and bits are 0
  int lanes() const { return lanes_; }  // of this process
  void end_lane(int lane);
  bool exchanges() const { return lanes_ > 1 || world_.size() > 1; }
  void segment_final(int segment) { gradients_.segment_final(segment); }
  struct Sums {
    double bits = 0;      // of all losses of the step
    double norm = 0;      // of the whole gradient, before clipping
    double waited_s = 0;  // of the step, for other processes
    bool finite() const { return std::isfinite(bits) && std::isfinite(norm); }
  };
  // AdamW with clipped gradients, as update number `update` (from 1 on) at this rate. Where a sum is not finite
  // nothing changes.
  Sums update(double rate, std::int64_t update);

  Weights weights() const { return {&table_, weights_.f32(), rounded_.bf16(), splits_ ? &floats_.places() : nullptr}; }
  TrainingOutputs outputs() const { return {{&table_, gradients_.lane().f32(), nullptr}, bits()}; }
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

  // checkpoint: a directory that exists. The first process writes model.safetensors and state.safetensors.
  void save(const std::string& checkpoint, const Config& config, const Progress& progress) const;
  // Errors corrupt_data where one of the two is missing, damaged or does not fit the model.
  Progress load(const std::string& checkpoint);

  // Bytes by name, before anything is made.
  static std::vector<std::pair<std::string, std::int64_t>> memory(const ModelConfig& model,
                                                                  const TrainingConfig& training, DType activations,
                                                                  int processes, int rank);
  // Of the host's memory, at most, where what several processes exchange goes through it (detour()).
  static std::int64_t detour_bytes(const ModelConfig& model, const TrainingConfig& training, DType activations,
                                   int processes, int rank);

 private:
  Array<double> bits() const { return array(static_cast<double*>(sums_.data()), 1); }
  Array<double> norm() const { return array(static_cast<double*>(sums_.data()) + 1, 1); }
  Array<float> scale() const { return array(sums_.f32() + 4, 1); }
  bool weight_is_finite(const Parameter& entry) const;
  void take_initial_weights();
  void make_programs();
  void add_adamw(std::vector<Operation>& update, int segment) const;
  void gather_sums();
  void make_row_weights(std::int64_t tokens);
  void share_weights(RowWeights::Which rows);
  void exchange();
  bool averages() const { return training_.ema > 0; }         // also where this process moves nothing
  Array<float> moved(const Buffer& mine, int segment) const;  // of what this process keeps
  Array<float> own_weights(int segment) const;                // the float32 weights that it moves
  // Elements, 1 MiB: however large a table is, the host holds no second one.
  static constexpr std::int64_t kPutAtOnce = std::int64_t{1} << 18;
  const Buffer& trained() const { return splits_ ? masters_ : weights_; }
  void put(const Parameter& entry, std::int64_t first, std::int64_t count, const float* values);
  void put_all(const std::vector<float>& values);
  void share_floats();
  void take_note(void* memory, std::int64_t bytes);
  void put_mine(const Buffer& mine, const std::vector<float>& values);
  const float* values(const Buffer& buffer, const Parameter& entry, std::vector<std::byte>& staging) const;

  Backend& backend_;
  ParameterTable table_;
  TrainingConfig training_;
  World& world_;
  Carriage carriage_;
  Carrier& carrier_;
  int lanes_;
  Shards shards_;
  FloatTensors floats_;
  bool splits_;     // float32 weights among processes
  Buffer weights_;  // float32, as passes read them: of all parameters, or of floats_
  Buffer masters_;  // float32, of the elements that this process moves; empty where weights_ hold them
  Buffer first_moment_, second_moment_;  // of the elements that this process moves
  Buffer average_;                       // of the same; empty where there is none
  GradientSum gradients_;
  Buffer rounded_;  // bfloat16; empty with float32 activations. Among processes only what is read rounded is kept up
  Buffer staging_;  // of what is rounded once; and weights of floats_, by who moves them
  std::vector<std::vector<FloatTensors::Piece>> pieces_;  // of floats_, by process
  std::optional<RowWeights> row_weights_;                 // of several processes
  Buffer sums_;                                           // bits, norm (double), scale (float)
  Buffer lane_bits_;                                      // of this process's lanes (double)
  Buffer squares_;                                        // sums of the gradient's chunks (double)
  std::unique_ptr<Executable> begin_, square_sums_, update_, exchange_, round_;
};

}  // namespace longstride
