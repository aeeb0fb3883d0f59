// This runs the steps of training and decides what is due between them.
#include "train/session.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "io/words.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "model/precision.h"
#include "parallel/agreement.h"
#include "train/limits.h"
#include "train/schedule.h"

namespace longstride {

namespace {

constexpr double kValidationShare = 0.1;  // of the time between two validations
constexpr double kSmoothing = 0.95;       // of reported bits and speed: about the last 20 steps

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

Session::Session(Backend& backend, const Config& config, const Plan& plan, double peak, std::optional<RunDirectory> run,
                 const Dataset& data, const TrainOptions& options, const TrainObserver& observer, World& world)
    : backend_(backend),
      config_(config),
      plan_(plan),
      peak_(peak),
      world_(world),
      run_(std::move(run)),
      data_(data),
      options_(options),
      observer_(world.rank() == 0 ? observer : TrainObserver()),
      state_(backend, config.model, config.training, type_of(config.training.precision), world),
      trainer_(backend, config, data, state_, world) {
  if (samples(config) && is_first())
    engine_.emplace(backend, config.model, engine_shape(config, type_of(config.training.precision)), state_.weights());
  if (!state_.detour().empty()) note(state_.detour());
}

void Session::note(const std::string& sentence) const {
  if (observer_.noted) observer_.noted(sentence);
}

double Session::clock() const { return elapsed_before_ + seconds_since(started_); }

double Session::elapsed() const { return alone() ? clock() : agreed_.elapsed; }

double Session::agree(double step_s) {
  if (alone()) return step_s;
  std::vector<Agreed> all(static_cast<std::size_t>(world_.size()));
  const Agreed mine{clock(), step_s, told_to_stop()};
  world_.all_gather(&mine, sizeof mine, all.data());
  agreed_ = all.front();
  agreed_.stopped = std::any_of(all.begin(), all.end(), [](const Agreed& one) { return one.stopped; });
  return agreed_.step_s;
}

double Session::share() const {
  const TrainingConfig& training = config_.training;
  if (training.minutes > 0) return std::min(1.0, elapsed() / (60 * training.minutes));
  return training.steps > 0 ? static_cast<double>(progress_.step) / static_cast<double>(training.steps) : 1;
}

bool Session::reached_end() const {
  const TrainingConfig& training = config_.training;
  return training.minutes > 0 ? elapsed() >= 60 * training.minutes : progress_.step >= training.steps;
}

double Session::rate() {
  const TrainingConfig& training = config_.training;
  const std::int64_t update = progress_.updates + 1;
  if (training.minutes <= 0) return learning_rate_by_steps(training, update);
  if (is_warming_up(training, update, share())) progress_.warm_share = share();
  return learning_rate_by_clock(training, update, share(), progress_.warm_share);
}

StepReport Session::report(const Trainer::Result& result, double rate, double step_s) {
  const double now = static_cast<double>(trainer_.tokens_per_step()) / step_s;
  progress_.tokens_per_s =
      progress_.tokens_per_s > 0 ? kSmoothing * progress_.tokens_per_s + (1 - kSmoothing) * now : now;
  if (!result.skipped)
    progress_.smoothed_bits = progress_.updates > 1
                                  ? kSmoothing * progress_.smoothed_bits + (1 - kSmoothing) * result.loss_bits
                                  : result.loss_bits;
  StepReport r;
  r.step = progress_.step;
  r.share = share();
  r.steps = config_.training.minutes > 0
                ? static_cast<std::int64_t>(static_cast<double>(r.step) / std::max(r.share, 1e-9))
                : config_.training.steps;
  r.tokens = progress_.windows * config_.model.context;
  r.epoch = trainer_.epoch(progress_.windows);
  r.loss_bits = result.loss_bits;
  r.smoothed_bits = progress_.smoothed_bits;
  r.learning_rate = rate;
  r.gradient_norm = result.gradient_norm;
  r.step_s = step_s;
  r.load_s = result.load_s;
  r.exchange_s = result.exchange_s;
  r.tokens_per_s = now;
  r.utilisation = static_cast<double>(plan_.multiply_adds_per_step) / step_s / peak_;
  r.time_left_s = config_.training.minutes > 0
                      ? std::max(0.0, 60 * config_.training.minutes - elapsed())
                      : static_cast<double>(config_.training.steps - r.step) *
                            static_cast<double>(trainer_.tokens_per_step()) / progress_.tokens_per_s;
  r.memory_bytes = resident_bytes();
  r.skipped = result.skipped;
  return r;
}

void Session::step() {
  if (run_) run_->require_place();
  const double rate = this->rate();
  const Clock::time_point begun = Clock::now();
  const Trainer::Result result = trainer_.step(progress_, rate);
  saved_ = false;
  StepReport r = report(result, rate, agree(seconds_since(begun)));
  if (result.skipped) r.not_finite = trainer_.first_not_finite();
  if (journal_) journal_->step(r);
  if (observer_.stepped) observer_.stepped(r);
  if (!result.skipped) return;
  note("step " + std::to_string(r.step) + ": loss or gradient is not finite, first " + r.not_finite +
       "; the step is skipped, the weights stay");
  if (progress_.skipped_in_a_row >= kSkipsBeforeGivingUp) give_up(r.not_finite);
}

// Data that cannot be read any more end the run, and not what it has learned: weights change only after a step's
// windows were read. So does what others put in the log's place, which is met once the step is done. Where there are
// several processes the others know of nothing: the last checkpoint stands.
void Session::step_or_save() {
  try {
    step();
  } catch (const Error& error) {
    const bool of_files = error.kind() == ErrorKind::corrupt_data || error.kind() == ErrorKind::invalid_argument;
    if (of_files && progress_.step > 0 && alone()) save();
    throw;
  }
}

bool Session::due(std::int64_t last_step, double last_s, double minutes) const {
  return minutes > 0 && last_step != progress_.step && elapsed() - last_s >= 60 * minutes;
}

// The checkpoint comes last, so that it knows of all that was done at its step: what a kill before it undoes is done
// again, and nothing twice. While steps are skipped nothing is due: whether the weights are good is not known.
void Session::between_steps() {
  if (progress_.skipped_in_a_row > 0) return;
  const TrainingConfig& training = config_.training;
  if (due(progress_.validated_step, progress_.validated_s, training.validate_minutes))
    validate(tokens_in(60 * training.validate_minutes * kValidationShare));
  agree();
  if (due(progress_.sampled_step, progress_.sampled_s, training.sample_minutes))
    make_sample(kSampleShare * 60 * training.sample_minutes);
  agree();
  const bool best = progress_.best_step == progress_.step;
  if (best || due(-1, saved_s_, training.checkpoint_minutes)) save();
}

void Session::go_on(TrainResult& result) {
  if (progress_.step > 0 && !done() && !stopped()) between_steps();  // what an interruption kept from being done
  while (!done() && !stopped()) {
    step_or_save();
    if (!done() && !stopped()) between_steps();
    agree();
  }
  result.stopped_early = lost_patience() && !reached_end();
  if (result.stopped_early)
    note("stopped early: the last " + counted(progress_.since_best, "validation") +
         (progress_.since_best == 1 ? " was" : " were") + " no better than that of step " +
         with_commas(progress_.best_step) +
         ", whose checkpoint is the best; --resume --steps N or --minutes M goes on all the same");
  if (done() && progress_.step > 0) {
    finish();
    test(result);
  }
  result.interrupted = !done() || (stopped() && (!is_complete() || result.test_bits < 0));
  save();
  result.data_change = changed_data();
  if (journal_) {
    journal_->event(progress_.step, result.interrupted ? "interrupted" : "finished");
    journal_->sync();
  }
  agree();  // what the first process has written is there for all when they return
}

TrainResult Session::run() {
  require_same(world_, "train: the file of weights", begun_with_);
  started_ = Clock::now();
  agree();
  TrainResult result;
  if (finished_) {
    note_finished();
    result.stopped_early = lost_patience() && !reached_end();
    test(result);
    result.interrupted = stopped() && result.test_bits < 0;
  } else {
    go_on(result);
  }
  result.step = progress_.step;
  result.valid_bits = progress_.valid_bits;
  if (const std::vector<std::int64_t> steps = run_ ? run_->checkpoints() : std::vector<std::int64_t>(); !steps.empty())
    result.checkpoint = run_->checkpoint_path(steps.back()) + "/" + kModelFile;
  result.origin = *progress_.origin;
  result.data_sha256 = progress_.data.sha256;
  result.data_bytes = progress_.data.bytes;
  return result;
}

}  // namespace longstride
