// This counts what processes send in a step, and follows a step in time.
#include "train/scaling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/plan.h"
#include "train/float_tensors.h"
#include "train/multiply_adds.h"
#include "train/shards.h"

namespace longstride {

namespace {

constexpr std::int64_t kFloat = 4, kDouble = 8;  // bytes
constexpr double kBackward = 2.0 / 3;            // of a pass forward and backward: two products for each
constexpr double kMessage_s = 1e-6;              // to hand one message to the carrier
constexpr double kGoal = 0.9;                    // of efficiency
constexpr double kStepShare = 0.75;              // of the best product's rate that training steps reach

// Bytes of memory that an element moves: the gradient set to 0, its squares, AdamW with an average and a rounded copy.
constexpr double kZeroed = 4, kSquared = 4, kMoved = 38;
constexpr double kAdded = 12, kRounded = 6;  // a sum of two; a rounded copy that is made by itself

// What the busiest process of a step handles, bytes.
struct Load {
  std::vector<double> gradients;  // by segment, on the link
  double weights = 0, sums = 0;   // on the link
  double memory = 0;
};

std::int64_t lanes_of(const TrainingConfig& training, int processes) { return training.lanes / processes; }

Load load_of(const ParameterTable& table, const TrainingConfig& training, int processes) {
  const Shards shards(table, processes);
  const auto others = static_cast<double>(processes - 1), elements = static_cast<double>(table.store_elements());
  Load load;
  std::vector<std::int64_t> moved(static_cast<std::size_t>(processes));
  for (int s = 0; s < shards.segments(); ++s) {
    std::int64_t longest = 0, shortest = shards.segment(s).size();
    for (int p = 0; p < processes; ++p) {
      const std::int64_t needed = shards.needed(s, p).size();
      longest = std::max(longest, needed);
      shortest = std::min(shortest, needed);
      moved[static_cast<std::size_t>(p)] += shards.moved(s, p).size();
    }
    const auto received = others * static_cast<double>(longest),
               sent = static_cast<double>(shards.segment(s).size() - shortest);
    load.gradients.push_back(processes > 1 ? kFloat * std::max(received, sent) : 0);
  }
  const auto most = static_cast<double>(*std::max_element(moved.begin(), moved.end()));
  const bool rounds = processes > 1 && training.precision != Precision::float32;
  load.weights = kFloat * others * most;
  if (rounds)
    load.weights = others * (2 * most + kFloat * static_cast<double>(FloatTensors(table).elements()) / processes);
  const auto lanes = static_cast<double>(lanes_of(training, processes));
  load.sums = kDouble * others * (elements / processes / kSquareSumsChunk + lanes);
  load.memory = elements * (kZeroed + kAdded * (lanes - 1)) +
                most * (kSquared + kMoved + kAdded * others + (rounds ? kRounded : 0));
  return load;
}

// The last pass of a step: segments become final as it goes back through the blocks, and one after another is carried,
// two at the same time at most. Returns seconds from its beginning until the last one has arrived.
double last_pass(const Load& load, double pass_s, std::int64_t layers, double per_exchange_s, double link) {
  std::vector<double> arrived;
  double computed = 0, free = 0, share = 0;
  for (std::size_t s = 0; s < load.gradients.size(); ++s) {
    const double until = std::min(1.0, static_cast<double>(s) / static_cast<double>(layers));
    const double final_share = 1 - kBackward * (1 - until);  // of the pass that is done
    computed += (final_share - share) * pass_s;
    share = final_share;
    if (s >= 2) computed = std::max(computed, arrived[s - 2]);
    free = std::max(free, computed) + per_exchange_s + load.gradients[s] / link;
    arrived.push_back(free);
  }
  return std::max(computed, arrived.back());
}

void check_rates(const Rates& rates) {
  for (const double rate : {rates.multiply_adds, rates.memory_bytes, rates.link_bytes})
    if (!(rate > 0) || !std::isfinite(rate)) throw_invalid("scaling: rates must be positive");
  if (!(rates.latency_s >= 0)) throw_invalid("scaling: a latency must not be negative");
}

}  // namespace

void check_processes(const TrainingConfig& training, int processes) {
  if (std::has_single_bit(static_cast<unsigned>(processes)) && processes <= training.lanes) return;
  const auto wanted = static_cast<std::int64_t>(std::bit_ceil(static_cast<unsigned>(processes)));
  throw_invalid(
      fmt::format("train: {} processes share training.lanes, of which there {}: needs a power of two, as many as there "
                  "are lanes at most; --set training.lanes={} --set training.accumulate={} would do, and {} processes",
                  processes, training.lanes == 1 ? "is 1" : fmt::format("are {}", training.lanes), wanted,
                  (training.accumulate + wanted - 1) / wanted * wanted, wanted));
}

std::int64_t sent_bytes_per_step(const ParameterTable& table, const TrainingConfig& training, DType activations,
                                 int processes, int rank) {
  const Shards shards(table, processes);
  const std::int64_t others = processes - 1;
  std::int64_t bytes = others * kDouble * lanes_of(training, processes);
  for (int s = 0; others > 0 && s < shards.segments(); ++s) {
    for (int p = 0; p < processes; ++p)
      if (p != rank) bytes += kFloat * shards.needed(s, p).size();
    bytes += others * (kDouble * square_sums_of(shards.summed(s, rank).size()) +
                       size_of(activations) * shards.moved(s, rank).size());
  }
  if (activations == DType::float32 || others == 0) return bytes;
  for (const FloatTensors::Piece& piece : FloatTensors(table).moved(shards, rank))
    bytes += others * kFloat * piece.count;
  return bytes;
}

Rates measure_rates(Precision precision) {
  Rates rates;
  rates.multiply_adds = kStepShare * measure_peak_multiply_adds(precision == Precision::bfloat16);
  rates.memory_bytes = measure_processor().copy;
  return rates;
}

Scaling predict_scaling(const Config& config, int processes, const Rates& rates) {
  check(config);
  check_processes(config.training, processes);
  check_rates(rates);
  const ParameterTable table(config.model);
  const auto accumulate = static_cast<double>(config.training.accumulate), P = static_cast<double>(processes);
  const double pass_s = static_cast<double>(multiply_adds_per_step(config)) / accumulate / rates.multiply_adds;
  const Load load = load_of(table, config.training, processes);
  TrainingConfig one_lane = config.training;
  one_lane.lanes = 1;
  const double memory_s = load.memory / rates.memory_bytes,
               alone_memory_s = load_of(table, one_lane, 1).memory / rates.memory_bytes;
  double waited_s = 0;
  if (processes > 1) {
    const double per_exchange_s = rates.latency_s + (P - 1) * kMessage_s;
    waited_s = last_pass(load, pass_s, config.model.layers, per_exchange_s, rates.link_bytes) - pass_s;
    waited_s += 3 * per_exchange_s + (load.sums + load.weights) / rates.link_bytes;  // bits, squares, weights
  }
  Scaling scaling;
  scaling.step_s = accumulate / P * pass_s + memory_s + waited_s;
  scaling.exchange_s = waited_s;
  scaling.efficiency = (accumulate * pass_s + alone_memory_s) / (P * scaling.step_s);
  // (P b pass + alone) / (P (b pass + memory + waited)) = goal, for b batches of a process
  const double least = (kGoal * (memory_s + waited_s) - alone_memory_s / P) / ((1 - kGoal) * pass_s);
  scaling.batches_for_90 = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(least)));
  return scaling;
}

}  // namespace longstride
