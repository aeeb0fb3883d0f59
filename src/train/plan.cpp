// What a run needs, summed from the same tables that it allocates from (longstride/plan.h).
#include "longstride/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "longstride/device.h"
#include "longstride/error.h"
#include "model/engine.h"
#include "model/network.h"
#include "model/precision.h"
#include "train/advice.h"
#include "train/limits.h"
#include "train/multiply_adds.h"
#include "train/scaling.h"
#include "train/state.h"

namespace longstride {

namespace {

// Choosing to keep all activations: only where the run then leaves this share of what is free to others.
constexpr double kShareOfFreeMemory = 0.8;
// What is advised still fits where a little less is free by then.
constexpr double kShareOfAdvice = 0.95;

void add_parameters(Plan& plan, const ParameterTable& table) {
  plan.parameters = table.count();
  for (const Parameter& entry : table.entries()) {
    auto& parts = plan.parameters_by_part;
    const auto same = [&](const auto& part) { return part.first == entry.part; };
    auto found = std::find_if(parts.begin(), parts.end(), same);
    if (found == parts.end()) found = parts.insert(parts.end(), {entry.part, 0});
    found->second += entry.count;
  }
}

NetworkShape training_shape(const Config& config, DType type, bool recompute) {
  return {config.training.batch, config.model.context, type, true, recompute};
}

struct Share {
  int processes, rank;
};

std::int64_t bytes_of(const Network::Bytes& bytes) { return bytes.activations + bytes.workspace; }

std::int64_t program_bytes(const Share& share) { return kProgramBytes + (share.processes > 1 ? kCarrierBytes : 0); }

// What a run on a card keeps on the host: the program, a step's tokens as passes are given them, and one tensor at a
// time of those that are saved.
std::int64_t host_bytes(const Config& config, const ParameterTable& table, const Share& share) {
  const auto orders = static_cast<std::int64_t>(config.model.hash_orders.size());
  constexpr std::int64_t kOfToken = 4 * 4;  // itself, as an input, as a target, its loss
  std::int64_t largest = 0;
  for (const Parameter& entry : table.entries()) largest = std::max(largest, entry.count * 4);
  return program_bytes(share) + kCardHostBytes + largest +
         config.training.batch * config.model.context * (kOfToken + 4 * orders);
}

void sum_memory(Plan& plan, const Config& config, Backend& backend, DType type, const Network::Bytes& training,
                const Share& share) {
  auto& parts = plan.bytes_by_part;
  parts = TrainState::memory(config.model, config.training, type, share.processes, share.rank);
  parts.emplace_back("activations", training.activations);
  parts.emplace_back("workspace", training.workspace);
  if (samples(config) && share.rank == 0)
    for (const auto& part : Engine::memory(backend, config.model, engine_shape(config, type))) parts.push_back(part);
  const bool carries = share.processes > 1 && backend.why_no_carrier().empty();
  const std::int64_t of_card = kCardProgramBytes + (carries ? kCardCarrierBytes : 0);
  parts.emplace_back("program", plan.device == "cpu" ? program_bytes(share) : of_card);
  plan.total_bytes = 0;
  for (const auto& [name, bytes] : parts) plan.total_bytes += bytes;
}

Plan without_advice(const Config& config, int processes, int rank) {
  check(config);
  check_processes(config.training, processes);
  const Share share{processes, rank};
  const std::unique_ptr<Backend> backend = make_backend(config.training.device);
  const Facts facts = backend->facts();
  const ParameterTable table(config.model);
  Plan plan;
  plan.multiply_adds_per_step = multiply_adds_per_step(config);
  add_parameters(plan, table);
  plan.device = facts.device;
  plan.device_name = facts.name;
  plan.memory_available_bytes = facts.memory_available_bytes;
  const PrecisionChoice choice = resolved(config.training.precision, *backend);
  plan.precision = choice.precision;
  plan.precision_reason = choice.reason;
  const DType type = type_of(plan.precision);
  if (plan.device != "cpu") {
    plan.host_bytes = host_bytes(config, table, share);
    if (processes > 1 && !backend->why_no_carrier().empty())
      plan.host_bytes += TrainState::detour_bytes(config.model, config.training, type, processes, rank);
    plan.host_available_bytes = machine_info().memory_available_bytes;
  }
  plan.sent_bytes_per_step = sent_bytes_per_step(config.model, config.training, type, processes, rank);
  plan.recompute = config.training.recompute == Recompute::automatic ? Recompute::none : config.training.recompute;
  const auto bytes = [&](bool recompute) {
    return Network::bytes(*backend, config.model, training_shape(config, type, recompute));
  };
  const Network::Bytes keeping = bytes(false), recomputing = bytes(true);
  sum_memory(plan, config, *backend, type, plan.recompute == Recompute::block ? recomputing : keeping, share);
  plan.bytes_without_recomputation = bytes_of(keeping);
  plan.bytes_with_recomputation = bytes_of(recomputing);
  const auto spare = kShareOfFreeMemory * static_cast<double>(plan.memory_available_bytes);
  if (config.training.recompute == Recompute::automatic && static_cast<double>(plan.total_bytes) > spare) {
    plan.recompute = Recompute::block;
    sum_memory(plan, config, *backend, type, recomputing, share);
  }
  plan.fits = plan.total_bytes <= plan.memory_available_bytes && plan.host_bytes <= plan.host_available_bytes;
  return plan;
}

// What a run needs at least, without a look at its programs: weights and what comes with them, and the inputs of all
// blocks but one, float32, which wait for the way back whatever is computed once more.
double least_bytes(const Config& config, DType type, const Share& share) {
  double sum = 0;
  for (const auto& [name, bytes] : TrainState::memory(config.model, config.training, type, share.processes, share.rank))
    sum += static_cast<double>(bytes);
  const double rows = static_cast<double>(config.training.batch) * static_cast<double>(config.model.context);
  return sum + static_cast<double>(config.model.layers - 1) * rows * static_cast<double>(config.model.width) * 4;
}

// What must become smaller where a single layer and window are still too many: the key that the most of that depends
// on.
std::string needed_for(const Config& asked, const Plan& plan) {
  Config config = asked;
  config.model.layers = config.training.batch = 1;
  const ParameterTable table(config.model);
  std::int64_t hashed = 0, placed = 0;
  for (const Parameter& entry : table.entries()) {
    if (entry.name.starts_with("hash_embedding")) hashed += entry.count;
    if (entry.name.starts_with("position_embedding")) placed += entry.count;
  }
  const std::int64_t tokens = 2 * config.model.vocabulary * config.model.width;
  const std::int64_t others = table.count() - hashed - placed - tokens;
  const std::int64_t most = std::max({hashed, placed, tokens, others});
  std::int64_t of_weights = 0;
  for (const auto& [name, bytes] : TrainState::memory(config.model, config.training, type_of(plan.precision), 1, 0))
    of_weights += bytes;
  const std::int64_t of_pass = plan.bytes_with_recomputation / std::max<std::int64_t>(1, asked.training.batch);
  if (of_pass < of_weights && most == hashed) return "a smaller model.hash_buckets, or fewer of model.hash_orders,";
  if (of_pass < of_weights && most == placed)
    return "a model.positions with smaller extents, or a smaller model.width,";
  if (of_pass < of_weights && most == tokens) return "a smaller model.vocabulary or model.width";
  return of_pass < of_weights ? "a smaller model.width" : "a smaller model.width or model.context";
}

}  // namespace

Plan plan_training(const Config& config, int processes, int rank) {
  Plan plan = without_advice(config, processes, rank);
  if (plan.fits) return plan;
  const double free = kShareOfAdvice * static_cast<double>(plan.memory_available_bytes),
               free_on_host = kShareOfAdvice * static_cast<double>(plan.host_available_bytes);
  // Automatic choices are made as if there were no less; a precision that is left to the machine is what it was.
  const auto fits = [&](const Config& other) {
    const bool automatic = other.training.precision == Precision::automatic;
    const DType type = type_of(automatic ? plan.precision : other.training.precision);
    if (least_bytes(other, type, {processes, rank}) > free) return false;
    const Plan made = without_advice(other, processes, rank);
    return static_cast<double>(made.total_bytes) <= free && static_cast<double>(made.host_bytes) <= free_on_host;
  };
  plan.advice = advice_for(config, fits, needed_for(config, plan));
  return plan;
}

}  // namespace longstride
