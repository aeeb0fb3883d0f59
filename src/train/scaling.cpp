// This counts what processes send in a step, and follows a step in time.
#include "train/scaling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/plan.h"
#include "train/float_tensors.h"
#include "train/multiply_adds.h"
#include "train/parcel.h"
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
constexpr double kLooked = 4;                // at a row that may be 0

// What the busiest process of a step handles, bytes.
struct Load {
  std::vector<double> gradients;  // by segment, on the link
  double weights = 0, sums = 0;   // on the link
  double memory = 0;
};

std::int64_t lanes_of(const TrainingConfig& training, int processes) { return training.lanes / processes; }

// The share of a table's rows that so many tokens use where each is as likely as any other.
double used_share(const Shards& shards, std::int64_t tokens) {
  const auto rows = static_cast<double>(shards.tables().rows);
  return rows > 1 ? -std::expm1(static_cast<double>(tokens) * std::log1p(-1 / rows)) : 1;
}

// Of a message whose list has the rows that so many tokens use.
double expected_bytes(const Shards& shards, const Parcel& parcel, std::int64_t tokens) {
  const double rows = kFloat * static_cast<double>(parcel.rows.size()) * used_share(shards, tokens);
  return static_cast<double>(parcel.bytes(0)) + rows;
}

// What process p handles of its own piece in a step, bytes.
struct Share {
  double memory = 0;   // squares, sums of what goes whole, AdamW, rounding
  double weights = 0;  // that go to each of the others
};

Share share_of(const Shards& shards, int p, std::int64_t tokens, bool rounds) {
  double whole = 0, rows = 0, added = 0;  // elements
  for (int s = 0; s < shards.segments(); ++s) {
    whole += static_cast<double>(shards.before_rows(s, p).size() + shards.behind_rows(s, p).size());
    rows += static_cast<double>(shards.rows(s, p).size());
    added += static_cast<double>(parcel_of_gradient(shards, s, p, tokens / shards.processes()).whole());
  }
  const double others = shards.processes() - 1;
  return {whole * (kSquared + kMoved + (rounds ? kRounded : 0)) +
              rows * (kSquared + kLooked + kMoved * used_share(shards, tokens)) + others * added * kAdded,
          whole * (rounds ? 2 : kFloat) + expected_bytes(shards, parcel_of_rows(shards, p, tokens), tokens)};
}

Load load_of(const Config& config, int processes) {
  const TrainingConfig& training = config.training;
  const ParameterTable table(config.model);
  const Shards shards(table, processes);
  const auto others = static_cast<double>(processes - 1), elements = static_cast<double>(table.store_elements());
  const auto tables = static_cast<double>(shards.tables().range.size());
  const std::int64_t tokens = tokens_of_step(config.model, training), of_process = tokens / processes;
  const bool rounds = processes > 1 && training.precision != Precision::float32;
  Load load;
  for (int s = 0; s < shards.segments(); ++s) {
    double longest = 0, all = 0, shortest = std::numeric_limits<double>::infinity();
    for (int p = 0; p < processes; ++p) {
      const double bytes = expected_bytes(shards, parcel_of_gradient(shards, s, p, of_process), of_process);
      longest = std::max(longest, bytes);
      shortest = std::min(shortest, bytes);
      all += bytes;
    }
    load.gradients.push_back(processes > 1 ? std::max(others * longest, all - shortest) : 0);
  }
  Share most;
  for (int p = 0; p < processes; ++p) {
    const Share share = share_of(shards, p, tokens, rounds);
    most = {std::max(most.memory, share.memory), std::max(most.weights, share.weights)};
  }
  const double floats = rounds ? kFloat * (static_cast<double>(FloatTensors(table).elements()) - tables) : 0;
  load.weights = others * (most.weights + floats / processes);
  const auto lanes = static_cast<double>(lanes_of(training, processes));
  load.sums = kDouble * others * (elements / processes / kSquareSumsChunk + lanes);
  load.memory = elements * (kZeroed + kAdded * (lanes - 1)) + most.memory;
  if (processes > 1 && of_process < shards.tables().rows) load.memory += kLooked * tables;  // packing
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
  const auto lanes = training.lanes;
  if (std::has_single_bit(static_cast<unsigned>(processes)) && processes <= lanes) return;
  const auto fewer = std::min<std::int64_t>(std::bit_floor(static_cast<unsigned>(processes)), lanes);
  const auto wanted = static_cast<std::int64_t>(std::bit_ceil(static_cast<unsigned>(processes)));
  const auto accumulate = (training.accumulate + wanted - 1) / wanted * wanted;
  const std::string more =
      wanted > lanes
          ? fmt::format("from a run's beginning, {} with --set training.lanes={} --set training.accumulate={}", wanted,
                        wanted, accumulate)
          : fmt::format("{}", wanted);
  throw_invalid(
      fmt::format("train: {} processes share training.lanes, of which there {}: needs a power of two, as many as there "
                  "are lanes at most; {} would do, or {}",
                  processes, lanes == 1 ? "is 1" : fmt::format("are {}", lanes), fewer, more));
}

std::int64_t sent_bytes_per_step(const ModelConfig& model, const TrainingConfig& training, DType activations,
                                 int processes, int rank) {
  if (processes == 1) return 0;
  const ParameterTable table(model);
  const Shards shards(table, processes);
  const std::int64_t tokens = tokens_of_step(model, training);
  std::int64_t to_owners = 0, to_each = kDouble * lanes_of(training, processes);
  for (int s = 0; s < shards.segments(); ++s) {
    for (int p = 0; p < processes; ++p)
      if (p != rank) to_owners += parcel_of_gradient(shards, s, p, tokens / processes).most_bytes();
    to_each += kDouble * square_sums_of(shards.summed(s, rank).size()) +
               size_of(activations) * (shards.before_rows(s, rank).size() + shards.behind_rows(s, rank).size());
  }
  to_each += parcel_of_rows(shards, rank, tokens).most_bytes();
  if (activations == DType::bfloat16)
    for (const FloatTensors::Piece& piece : FloatTensors(table).moved(shards, rank)) to_each += kFloat * piece.count;
  return to_owners + (processes - 1) * to_each;
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
  const auto accumulate = static_cast<double>(config.training.accumulate), P = static_cast<double>(processes);
  const double pass_s = static_cast<double>(multiply_adds_per_step(config)) / accumulate / rates.multiply_adds;
  const Load load = load_of(config, processes);
  Config one_lane = config;
  one_lane.training.lanes = 1;
  const double memory_s = load.memory / rates.memory_bytes,
               alone_memory_s = load_of(one_lane, 1).memory / rates.memory_bytes;
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
