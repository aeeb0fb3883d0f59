// This loads what a Model holds, and makes of it what is asked for, once.
#include "model/held_model.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "io/sha256.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 20;  // bytes hashed at once

}  // namespace

HeldModel::HeldModel(const std::string& path, Device device)
    : backend(make_backend(device)),
      file(open_path(path, O_RDONLY | O_NONBLOCK)),  // a pipe is no checkpoint, and not waited for
      loaded(load_model(*backend, path, DType::float32)) {
  if (file.get() < 0) fail_system("open", path);  // load_model says it better where the path is wrong
}

PrecisionChoice HeldModel::choice_as_trained(Precision asked) const {
  const Precision trained = config().training.precision;
  if (asked != Precision::automatic || trained == Precision::automatic) return choice_of(asked);
  return {trained, "as the run trained"};
}

Weights HeldModel::weights(DType needed) {
  if (needed == DType::bfloat16 && !loaded.bf16) {
    loaded.bf16 = Buffer(*backend, loaded.table.store_elements() * size_of(DType::bfloat16));
    run_once(*backend, Round{loaded.f32.floats(), loaded.bf16.halves()});
  }
  return loaded.weights();
}

Network& HeldModel::network(std::int64_t batch, std::int64_t tokens, DType needed) {
  const auto fits = [&](const NetworkShape& shape) {
    return shape.batch == batch && shape.tokens == tokens && shape.type == needed;
  };
  if (network_ == nullptr || !fits(network_->shape())) {
    network_.reset();  // two need not be in memory at the same time
    network_ = std::make_unique<Network>(*backend, model(), NetworkShape{batch, tokens, needed}, weights(needed));
  }
  return *network_;
}

const std::string& HeldModel::sha256() {
  if (!sha256_.empty()) return sha256_;
  const std::int64_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) fail_system("read", loaded.path);
  std::vector<std::uint8_t> block(static_cast<std::size_t>(std::min(size, kBlock)));
  Sha256 hash;
  for (std::int64_t at = 0; at < size; at += kBlock) {
    const auto bytes = std::span(block).first(static_cast<std::size_t>(std::min(kBlock, size - at)));
    read_all(file.get(), at, bytes, loaded.path);
    hash.update(bytes);
  }
  return sha256_ = hash.hex();
}

void HeldModel::check_tokens(const std::string& who, std::span<const std::int32_t> tokens) const {
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (tokens[at] >= 0 && tokens[at] < model().vocabulary) continue;
    throw_invalid(
        fmt::format("{}: token {} at {} is outside the vocabulary of {}", who, tokens[at], at, model().vocabulary));
  }
}

}  // namespace longstride
