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

Trainer::Trainer(Backend& backend, const Config& config, const Dataset& data, TrainState& state, World& world)
    : backend_(backend),
      world_(world),
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
  if (state.exchanges())
    at_mark_ = [this](const Mark& mark) {
      if (mark.what == Mark::What::gradient_final) state_.segment_final(static_cast<int>(mark.block));
    };
}

void Trainer::read_windows(std::int64_t first) {
  const std::int64_t n = config_.model.context;
  std::fill(scored_.begin(), scored_.end(), std::uint8_t{0});
  for (std::int64_t b = 0; b < config_.training.batch; ++b) {
    const Window window = order_.window(first + b);
    data_.read(part_.begin + window.begin, {bytes_.data() + b * n, static_cast<std::size_t>(n)});
    std::fill_n(scored_.begin() + b * n + window.score_begin, window.score_count, std::uint8_t{1});
  }
  std::copy(bytes_.begin(), bytes_.end(), tokens_.begin());
}

// Of all lanes, also those of other processes.
double Trainer::scored_tokens(std::int64_t first) const {
  double tokens = 0;
  for (std::int64_t window = 0; window < windows_per_step(); ++window)
    tokens += static_cast<double>(order_.window(first + window).score_count);
  return tokens;
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
  first_window_ = progress.windows;
  const std::int64_t of_lane = training.accumulate / training.lanes, mine = of_lane * state_.lanes();
  for (std::int64_t micro = 0; micro < mine; ++micro) {
    const std::int64_t of_all = world_.rank() * mine + micro;
    pass.dropout_step = progress.step * training.accumulate + of_all;
    const auto begun = std::chrono::steady_clock::now();
    read_windows(first_window_ + of_all * training.batch);
    result.load_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const bool last = micro + 1 == mine;
    network_.forward_backward(pass, nullptr, last ? at_mark_ : Executable::AtMark());
    if (!last && (micro + 1) % of_lane == 0) state_.end_lane(static_cast<int>(micro / of_lane));
  }
  const TrainState::Sums sums = state_.update(rate, progress.updates + 1);
  result.loss_bits = sums.bits / scored_tokens(first_window_);
  result.gradient_norm = sums.norm;
  result.exchange_s = sums.waited_s;
  result.skipped = !sums.finite();
  ++progress.step;
  progress.windows += windows_per_step();
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
