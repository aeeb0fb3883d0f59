// This runs the micro steps of a step and its update.
#include "train/trainer.h"

#include <algorithm>
#include <chrono>

#include "model/precision.h"

namespace longstride {

namespace {

NetworkShape shape_of(const Config& config) {
  NetworkShape shape{config.training.batch, config.model.context, type_of(config.training.precision), true,
                     config.training.recompute == Recompute::block};
  shape.dropout = static_cast<float>(config.model.dropout);
  shape.dropout_seed = config.training.seed;
  return shape;
}

}  // namespace

Trainer::Trainer(Backend& backend, const Config& config, const Dataset& data, TrainState& state)
    : backend_(backend),
      config_(config),
      data_(data),
      state_(state),
      part_(data.part(Split::train)),
      order_(part_.size(), config.model.context, config.training.seed,
             data.unit() > 1 ? DataOrder::Cut::at_multiples : DataOrder::Cut::anywhere),
      network_(backend, config.model, shape_of(config), state.weights(), state.outputs()) {
  const auto rows = static_cast<std::size_t>(config.training.batch * config.model.context);
  bytes_.resize(rows);
  scored_.resize(rows);
  tokens_.resize(rows);
}

void Trainer::read_windows(std::int64_t first) {
  const std::int64_t n = config_.model.context;
  std::fill(scored_.begin(), scored_.end(), std::uint8_t{0});
  scored_tokens_ = 0;
  for (std::int64_t b = 0; b < config_.training.batch; ++b) {
    const Window window = order_.window(first + b);
    data_.read(part_.begin + window.begin, {bytes_.data() + b * n, static_cast<std::size_t>(n)});
    std::fill_n(scored_.begin() + b * n + window.score_begin, window.score_count, std::uint8_t{1});
    scored_tokens_ += static_cast<double>(window.score_count);
  }
  std::copy(bytes_.begin(), bytes_.end(), tokens_.begin());
}

Trainer::Result Trainer::step(Progress& progress, double rate) {
  const TrainingConfig& training = config_.training;
  state_.begin();
  Pass pass;
  pass.batch = training.batch;
  pass.tokens = tokens_.data();
  pass.scored = scored_.data();
  // Every byte of the data weighs the same: the mean is over all tokens of a step, also where a window at the edge of
  // the training part scores fewer.
  pass.gradient = static_cast<float>(1.0 / static_cast<double>(tokens_per_step()));
  Result result;
  double tokens = 0;
  for (std::int64_t micro = 0; micro < training.accumulate; ++micro) {
    pass.dropout_step = progress.step * training.accumulate + micro;
    const auto begun = std::chrono::steady_clock::now();
    read_windows(pass.dropout_step * training.batch);
    result.load_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    network_.forward_backward(pass);
    tokens += scored_tokens_;
  }
  const TrainState::Sums sums = state_.update(rate, progress.updates + 1);
  result.loss_bits = sums.bits / tokens;
  result.gradient_norm = sums.norm;
  result.skipped = !sums.finite();
  ++progress.step;
  if (result.skipped) {
    ++progress.skipped;
    ++progress.skipped_in_a_row;
  } else {
    progress.skipped_in_a_row = 0;
    ++progress.updates;
  }
  return result;
}

}  // namespace longstride
