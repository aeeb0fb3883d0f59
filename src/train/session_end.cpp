// What a session does between steps and at its end: validation, samples, checkpoints, the test part.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "evaluate/order0.h"
#include "longstride/error.h"
#include "sample/generate.h"
#include "train/limits.h"
#include "train/made_sample.h"
#include "train/session.h"

namespace longstride {

namespace {

constexpr double kScoringSpeed = 2.5;  // tokens scored in the time that training takes for one: no backward pass
constexpr double kFinalSeconds = 60;   // for validation and for test at the end, each; more where training took long
constexpr double kFinalShare = 0.05;   // of the training time

}  // namespace

std::int64_t Session::tokens_in(double seconds) const {
  const std::int64_t n = config_.model.context;
  const auto windows =
      static_cast<std::int64_t>(seconds * progress_.tokens_per_s * kScoringSpeed / static_cast<double>(n));
  return std::max<std::int64_t>(1, windows) * n;
}

std::optional<Score> Session::score(Split split, std::int64_t tokens) {
  ByteRange range = data_.part(split);
  range.end = std::min(range.end, range.begin + tokens);
  if (range.size() == 0) return std::nullopt;
  TrainState::Averaged averaged(state_);
  try {
    const Score score = score_range(trainer_.network(), data_, range, 0, {}, options_.stop, world_);
    if (score.tokens == range.size()) return score;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) throw;  // a loss that is not finite is no reason to end the run
    note("the " + to_string(split) + " part has no figure at step " + std::to_string(progress_.step) + ": " +
         error.what());
  }
  return std::nullopt;
}

void Session::validate(std::int64_t tokens) {
  const double begun = elapsed();
  // The same bytes every time, so that figures compare.
  const std::int64_t compared = progress_.valid_tokens > 0 ? progress_.valid_tokens : tokens;
  const std::optional<Score> scored = score(Split::valid, compared);
  agree();
  if (!scored && stopped()) return;
  progress_.validated_step = progress_.step;
  progress_.validated_s = begun;
  saved_ = false;
  if (!scored) return;
  progress_.valid_tokens = compared;
  const double bits = scored->bits();
  const bool best = progress_.best_step < 0 || bits < progress_.best_bits;
  progress_.valid_bits = bits;
  progress_.since_best = best ? 0 : progress_.since_best + 1;
  if (best) {
    progress_.best_bits = bits;
    progress_.best_step = progress_.step;
  }
  if (journal_) journal_->validation(progress_.step, bits, scored->standard_error, 0, scored->tokens);
  if (observer_.validated) observer_.validated(progress_.step, bits, best);
}

void Session::mark_best() {
  const std::string problem = run_->set_best(progress_.best_step);
  if (problem.empty() || link_failed_) return;
  link_failed_ = true;
  note("the best checkpoint gets no link (" + problem + "); the program's commands find it without one");
}

// The first process makes it, while the others wait.
void Session::make_sample(double seconds) {
  if (!samples(config_)) return;
  const double begun = elapsed();
  const TrainState::Averaged averaged(state_);
  bool made = is_first() && write_sample(begun, seconds);
  world_.broadcast(&made, sizeof made);
  if (!made) return;
  progress_.sampled_step = progress_.step;
  progress_.sampled_s = begun;
  saved_ = false;
}

// Whether there is one; false as well where the run was stopped meanwhile.
bool Session::write_sample(double begun, double seconds) {
  std::atomic<bool> enough = false;
  SampleOptions options;
  options.tokens = engine_->shape().length;
  options.count = engine_->shape().sequences;
  options.seed = config_.training.seed;
  options.stop = &enough;
  options.made = [&](std::int64_t, std::uint8_t) { enough = told_to_stop() || clock() - begun >= seconds; };
  std::vector<std::vector<std::uint8_t>> made;
  try {
    made = sample_tokens(*engine_, options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) throw;
    note(std::string("no sample is made: ") + error.what());
    return false;
  }
  if (told_to_stop()) return false;
  const MadeSample sample = made_sample(config_.data, made);
  std::string name;
  try {
    name = run_->save_sample(progress_.step, ending_of(sample), file_of(sample));
  } catch (const Error& error) {
    note(std::string("the sample is not kept: ") + error.what());
    return true;
  }
  journal_->sample(progress_.step, name, sample);
  if (!observer_.sampled) return true;
  SampleReport report;
  report.step = progress_.step;
  report.path = run_->path() + "/" + name;
  report.share = static_cast<double>(made.front().size()) / static_cast<double>(options.tokens);
  if (const auto* text = std::get_if<std::string>(&sample)) report.text = *text;
  observer_.sampled(report);
  return true;
}

void Session::save() {
  if (saved_ || !weights_are_sound()) return;
  progress_.elapsed_s = saved_s_ = elapsed();
  saved_ = true;
  saved_updates_ = progress_.updates;
  if (!is_first()) return state_.save("", config_, progress_);  // takes part
  journal_->sync();  // first: a checkpoint is never ahead of the log, not even where the power fails
  try {
    run_->save_checkpoint(progress_.step,
                          [&](const std::string& directory) { state_.save(directory, config_, progress_); });
  } catch (...) {
    saved_ = false;
    throw;
  }
  if (progress_.best_step == progress_.step) mark_best();  // before the one that it replaces is removed
  run_->rotate(config_.training.keep, progress_.best_step);
  if (observer_.saved) observer_.saved(progress_.step, run_->checkpoint_path(progress_.step));
}

double Session::final_seconds() const { return std::max(kFinalSeconds, kFinalShare * elapsed()); }

void Session::finish() {
  save();  // first, so that whatever follows can be interrupted
  if (!saved_) end_unsound();
  if (progress_.validated_step != progress_.step) validate(tokens_in(final_seconds()));
  if (progress_.sampled_step != progress_.step) make_sample(final_seconds());
  save();
}

std::string Session::changed_data() const {
  if (!is_first()) return "";
  const std::string change = data_.change_since(progress_.data);
  if (!change.empty())
    note("the data changed while they were trained on: " + change +
         "; what was learned may be of both, and --resume goes on with them only as they were");
  return change;
}

bool Session::is_complete() const {
  return progress_.validated_step == progress_.step && (!samples(config_) || progress_.sampled_step == progress_.step);
}

void Session::test(TrainResult& result) {
  const ByteRange test = data_.part(Split::test);
  const std::optional<Score> scored = score(Split::test, tokens_in(final_seconds()));
  agree();
  if (!scored) return;
  result.test_bits = scored->bits();
  result.test_bytes = scored->tokens;
  if (is_first()) result.test_order0_bits = order0_bits(data_, {test.begin, test.begin + scored->tokens});
}

}  // namespace longstride
