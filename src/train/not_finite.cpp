// Where a step that was skipped stopped being finite: looked for when it happened, by computing it once more.
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"
#include "train/trainer.h"

namespace longstride {
namespace {

bool all_finite(const float* values, std::int64_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

bool all_finite(Backend& backend, const Heads& x) {
  std::vector<float> row(static_cast<std::size_t>(x.D));
  std::vector<std::uint16_t> rounded(row.size());
  for (std::int64_t at = 0; at < x.B * x.T * x.H; ++at) {
    const std::int64_t from = x.offset(at / x.H / x.T, at / x.H % x.T, at % x.H);
    if (x.type == DType::bfloat16) {
      backend.download(rounded.data(), x.bf16() + from, x.D * 2);
      std::transform(rounded.begin(), rounded.end(), row.begin(), float_from_bfloat16);
    } else {
      backend.download(row.data(), x.f32() + from, x.D * 4);
    }
    if (!all_finite(row.data(), x.D)) return false;
  }
  return true;
}

// The first operand of an attention that is not finite; empty: none.
std::string operand_words(Backend& backend, const Attention& attention) {
  for (const auto& [name, heads] : {std::pair("queries", &attention.q), std::pair("keys", &attention.k),
                                    std::pair("values", &attention.v), std::pair("output", &attention.out)}) {
    if (!all_finite(backend, *heads)) return name;
  }
  return "";
}

}  // namespace

// As passes read it: rounded to bfloat16 it is finite where it is in float32.
bool TrainState::weight_is_finite(const Parameter& entry) const {
  std::vector<std::byte> staging;
  const auto read = [&](const void* memory, std::int64_t bytes) { return backend_.readable(memory, bytes, staging); };
  if (!splits_ || floats_.places().contains(entry.offset)) {
    const void* values = read(weights().floats(entry.offset), entry.count * 4);
    return all_finite(static_cast<const float*>(values), entry.count);
  }
  const auto* halves = static_cast<const std::uint16_t*>(read(rounded_.bf16() + entry.offset, entry.count * 2));
  return std::all_of(halves, halves + entry.count,
                     [](std::uint16_t half) { return std::isfinite(float_from_bfloat16(half)); });
}

std::string TrainState::first_weight_not_finite() const {
  backend_.wait();
  for (const Parameter& entry : table_.entries())
    if (!weight_is_finite(entry)) return entry.name;
  return "";
}

std::string TrainState::last_gradient_not_finite() const {
  backend_.wait();
  std::vector<std::byte> staging;
  std::string name;
  for (const Parameter& entry : table_.entries()) {
    const void* values = backend_.readable(gradients_.lane().f32() + entry.offset, entry.count * 4, staging);
    if (!all_finite(static_cast<const float*>(values), entry.count)) name = entry.name;
  }
  return name;
}

std::string Trainer::activation_not_finite() {
  const TrainingConfig& training = config_.training;
  Pass pass;
  pass.batch = training.batch;
  pass.tokens = tokens_.data();
  std::string found;
  std::vector<float> bits(tokens_.size());
  for (std::int64_t micro = 0; micro < training.accumulate && found.empty(); ++micro) {
    read_windows(first_window_ + micro * training.batch);
    network_.watch(pass, [&](std::int64_t block, const Attention& attention) {
      if (!found.empty()) return;
      const std::string operand = operand_words(backend_, attention);
      if (!operand.empty()) found = fmt::format("the {} of attention in layer {}", operand, block);
    });
    if (!found.empty()) break;
    network_.forward(pass, bits.data());
    if (!all_finite(bits.data(), std::ssize(bits))) found = "the logits, behind the last layer";
  }
  return found;
}

std::string Trainer::first_not_finite() {
  if (const std::string weight = state_.first_weight_not_finite(); !weight.empty()) return weight;
  try {
    if (std::string activation = activation_not_finite(); !activation.empty()) return activation;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::exhausted) throw;  // there is no memory to look: the gradients are there anyway
  }
  const std::string gradient = state_.last_gradient_not_finite();
  return gradient.empty() ? "nothing that stayed so" : "the gradient of " + gradient;
}

}  // namespace longstride
