// This holds training's memory, and the programs that begin a step, end it, and put the average in place.
#include "train/state.h"

#include <algorithm>
#include <cmath>

namespace longstride {

namespace {
// Elements, 1 MiB: however large a table is, the host holds no second one.
constexpr std::int64_t kInitialisedAtOnce = std::int64_t{1} << 18;
}  // namespace

TrainState::TrainState(Backend& backend, const ModelConfig& model, const TrainingConfig& training, DType activations)
    : backend_(backend), table_(model), training_(training), sums_(backend, 32) {
  const std::int64_t bytes = table_.store_elements() * 4;
  for (Buffer* buffer : {&weights_, &first_moment_, &second_moment_, &gradients_}) *buffer = Buffer(backend, bytes);
  for (const Buffer* buffer : {&weights_, &first_moment_, &second_moment_, &gradients_})
    backend.zero(buffer->data(), bytes);
  if (training.ema > 0) {
    average_ = Buffer(backend, bytes);
    backend.zero(average_.data(), bytes);
  }
  if (activations == DType::bfloat16) {
    rounded_ = Buffer(backend, bytes / 2);
    backend.zero(rounded_.data(), bytes / 2);
  }
  make_programs();
}

// Neighbours of the same decay are moved by one operation, tables that move by rows by one each. A gap between them
// holds zeros and stays zero.
void TrainState::make_programs() {
  begin_ = compile_bound(backend_, {Zero{gradients_.floats()}, Zero{sums_.floats()}});
  std::vector<Operation> update = {
      GradientNorm{gradients_.floats(), bits(), training_.clip, norm(), scale()}};  // gaps hold 0
  const std::vector<Parameter>& entries = table_.entries();
  for (std::size_t first = 0, next = 0; first < entries.size(); first = next) {
    const Parameter& entry = entries[first];
    const auto joins = [&](const Parameter& p) { return !entry.by_rows && !p.by_rows && p.decay == entry.decay; };
    do ++next;
    while (next < entries.size() && joins(entries[next]));
    const std::int64_t from = entry.offset,
                       end = next < entries.size() ? entries[next].offset : table_.store_elements();
    const std::int64_t count = entry.by_rows ? entry.count : end - from;
    AdamW op;
    op.w = weights_.floats().from(from, count);
    op.m = first_moment_.floats().from(from, count);
    op.v = second_moment_.floats().from(from, count);
    op.dw = gradients_.floats().from(from, count);
    if (average_) op.ema = average_.floats().from(from, count);
    if (rounded_) op.copy = rounded_.halves().from(from, count);
    op.scale = scale();
    op.beta1 = static_cast<float>(training_.beta1);
    op.beta2 = static_cast<float>(training_.beta2);
    op.epsilon = static_cast<float>(training_.epsilon);
    op.decay = entry.decay ? static_cast<float>(training_.weight_decay) : 0;
    op.ema_decay = static_cast<float>(training_.ema);
    op.row = entry.by_rows ? entry.shape.back() : 0;
    update.emplace_back(op);
  }
  update_ = compile_bound(backend_, std::move(update));

  if (!average_) return;
  std::vector<Operation> exchange = {Exchange{weights_.floats(), average_.floats()}};
  if (rounded_) exchange.emplace_back(Round{weights_.floats(), rounded_.halves()});
  exchange_ = compile_bound(backend_, std::move(exchange));
}

std::vector<std::pair<std::string, std::int64_t>> TrainState::memory(const ParameterTable& table, bool average,
                                                                     DType activations) {
  const std::int64_t bytes = table.store_elements() * 4;
  std::vector<std::pair<std::string, std::int64_t>> parts = {
      {"weights", bytes + (activations == DType::bfloat16 ? bytes / 2 : 0)},
      {"gradients", bytes},
      {"optimiser", 2 * bytes}};
  if (average) parts.emplace_back("average", bytes);
  return parts;
}

void TrainState::put(const Buffer& buffer, const std::vector<float>& values) {
  backend_.upload(buffer.data(), values.data(), static_cast<std::int64_t>(values.size()) * 4);
}

const float* TrainState::host(const Buffer& buffer, std::vector<std::byte>& staging) const {
  backend_.wait();
  return static_cast<const float*>(backend_.readable(buffer.data(), buffer.bytes(), staging));
}

void TrainState::initialise(std::int64_t seed) {
  std::vector<float> values(kInitialisedAtOnce);
  for (std::size_t index = 0; index < table_.entries().size(); ++index) {  // gaps hold 0
    const Parameter& entry = table_.entries()[index];
    for (std::int64_t first = 0; first < entry.count; first += kInitialisedAtOnce) {
      const std::int64_t count = std::min(kInitialisedAtOnce, entry.count - first);
      longstride::initialise(table_, index, seed, first, count, values.data());
      backend_.upload(weights_.f32() + entry.offset + first, values.data(), count * 4);
    }
  }
  if (average_) backend_.copy(average_.data(), weights_.data(), weights_.bytes());
  if (rounded_) run_once(backend_, Round{weights_.floats(), rounded_.halves()});
}

void TrainState::begin() { begin_->run(); }

TrainState::Sums TrainState::update(double rate, std::int64_t update) {
  const auto steps = static_cast<double>(update);
  StepInputs inputs;
  inputs.rate = static_cast<float>(rate);
  inputs.correction1 = static_cast<float>(1 - std::pow(training_.beta1, steps));
  inputs.correction2 = static_cast<float>(1 - std::pow(training_.beta2, steps));
  update_->run(inputs);
  backend_.wait();
  double sums[2];
  backend_.download(sums, sums_.data(), sizeof sums);
  return {sums[0], sums[1]};
}

void TrainState::exchange() {
  if (exchange_) exchange_->run();
}

}  // namespace longstride
