// This holds what training carries, and updates weights and averages.
#include "train/state.h"

#include <cmath>

#include "longstride/error.h"

namespace longstride {

TrainState::TrainState(Backend& backend, const ModelConfig& model, const TrainingConfig& training, DType activations)
    : backend_(backend), table_(model) {
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

const float* TrainState::host(const Buffer& buffer, std::vector<float>& staging) const {
  backend_.wait();
  if (backend_.host_memory()) return buffer.f32();
  staging.resize(static_cast<std::size_t>(table_.store_elements()));
  backend_.download(staging.data(), buffer.data(), table_.store_elements() * 4);
  return staging.data();
}

void TrainState::initialise(std::int64_t seed) {
  if (backend_.host_memory()) {
    longstride::initialise(table_, seed, weights_.f32());
  } else {
    std::vector<float> values(static_cast<std::size_t>(table_.store_elements()));
    longstride::initialise(table_, seed, values.data());
    put(weights_, values);
  }
  if (average_.data() != nullptr) backend_.copy(average_.data(), weights_.data(), weights_.bytes());
  if (rounded_.data() != nullptr) backend_.to_bfloat16(weights_.f32(), rounded_.bf16(), table_.store_elements());
}

void TrainState::clear_gradients() { backend_.zero(gradients_.data(), gradients_.bytes()); }

double TrainState::gradient_norm() const {
  return std::sqrt(backend_.sum_squares(gradients_.f32(), table_.store_elements()));  // gaps hold 0
}

void TrainState::update(const TrainingConfig& training, double rate, double gradient_norm, std::int64_t update) {
  const double scale = training.clip > 0 && gradient_norm > training.clip ? training.clip / gradient_norm : 1;
  const auto steps = static_cast<double>(update);
  // Neighbours of the same decay become one call, tables that move by rows one each. A gap between them holds zeros and
  // stays zero.
  const std::vector<Parameter>& entries = table_.entries();
  for (std::size_t first = 0, next = 0; first < entries.size(); first = next) {
    const Parameter& entry = entries[first];
    const auto joins = [&](const Parameter& p) { return !entry.by_rows && !p.by_rows && p.decay == entry.decay; };
    do ++next;
    while (next < entries.size() && joins(entries[next]));
    const std::int64_t begin = entry.offset;
    AdamW op;
    op.count =
        entry.by_rows ? entry.count : (next < entries.size() ? entries[next].offset : table_.store_elements()) - begin;
    op.row = entry.by_rows ? entry.shape.back() : 0;
    op.w = weights_.f32() + begin;
    op.m = first_moment_.f32() + begin;
    op.v = second_moment_.f32() + begin;
    op.dw = gradients_.f32() + begin;
    if (average_.data() != nullptr) op.ema = average_.f32() + begin;
    if (rounded_.data() != nullptr) op.copy = rounded_.bf16() + begin;
    op.gradient_scale = static_cast<float>(scale);
    op.rate = static_cast<float>(rate);
    op.beta1 = static_cast<float>(training.beta1);
    op.beta2 = static_cast<float>(training.beta2);
    op.epsilon = static_cast<float>(training.epsilon);
    op.decay = entry.decay ? static_cast<float>(training.weight_decay) : 0;
    op.ema_decay = static_cast<float>(training.ema);
    op.correction1 = static_cast<float>(1 - std::pow(training.beta1, steps));
    op.correction2 = static_cast<float>(1 - std::pow(training.beta2, steps));
    adamw(backend_, op);
  }
}

TrainState::Averaged::Averaged(TrainState& state) : state_(state) {
  if (state_.average_.data() == nullptr) return;
  std::swap(state_.weights_, state_.average_);
  if (state_.rounded_.data() != nullptr)
    state_.backend_.to_bfloat16(state_.weights_.f32(), state_.rounded_.bf16(), state_.table_.store_elements());
}

TrainState::Averaged::~Averaged() {
  if (state_.average_.data() == nullptr) return;
  std::swap(state_.weights_, state_.average_);
  if (state_.rounded_.data() != nullptr)
    state_.backend_.to_bfloat16(state_.weights_.f32(), state_.rounded_.bf16(), state_.table_.store_elements());
}

Weights TrainState::Averaged::weights() const { return state_.weights(); }

}  // namespace longstride
