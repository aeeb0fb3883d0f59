// How a session begins: from nothing, or from the newest checkpoint that is whole and was trained on the same data.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "io/file.h"
#include "io/words.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "model/config_fields.h"
#include "train/schedule.h"
#include "train/session.h"

namespace longstride {

namespace {

// How long a run was planned to be: 3 minutes, 1,000 steps.
std::string length_words(const TrainingConfig& training) {
  return training.minutes > 0 ? fmt::format("{:.4g} minute{}", training.minutes, training.minutes == 1 ? "" : "s")
                              : counted(training.steps, "step");
}

}  // namespace

void Session::note_finished() const {
  const std::string end = reached_end() ? "after its " + length_words(config_.training)
                                        : "stopped early after " + counted(progress_.step, "step");
  note("the run is finished, " + end + "; with --steps N or --minutes M, counted from its beginning, it goes on");
}

void Session::start() {
  const TrainingConfig& training = config_.training;
  if (training.init.empty())
    state_.initialise(training.seed);
  else
    begin_with(training.init);
  progress_.origin = this_origin(backend_.facts().device);
  if (!is_first()) return;
  progress_.data = data_.mark();
  journal_.emplace(*run_, nullptr, [this](const std::string& sentence) { note(sentence); });
  journal_->event(0, "started", progress_.origin);
  journal_->configuration(0, config_);
}

// Each process reads the file where it finds it.
void Session::begin_with(const std::string& path) {
  state_.initialise_from(path);
  if (!alone()) begun_with_ = sha256_of(InputFile(path));
}

Progress Session::load(std::int64_t step) {
  const std::string checkpoint = RunDirectory::checkpoint_of(options_.out, step);
  if (!is_first() && !std::filesystem::exists(checkpoint))
    throw Error(ErrorKind::exhausted, fmt::format("\"{}\", which the first process goes on from, is not there for this "
                                                  "one; all need to see the folder of the run",
                                                  checkpoint));
  Progress progress = state_.load(checkpoint);
  if (progress.windows == kUnknownWindows) progress.windows = progress.step * trainer_.windows_per_step();
  saved_updates_ = progress.updates;
  if (!alone()) begun_with_ = sha256_of(InputFile(checkpoint + "/" + kTrainingStateFile));  // which knows its model's
  return progress;
}

void Session::resume() {
  if (is_first()) resume_first();
  if (alone()) return;
  std::int64_t step = run_ && !run_->checkpoints().empty() ? progress_.step : -1;
  world_.broadcast(&step, sizeof step);
  if (!is_first() && step < 0) start();
  if (!is_first() && step >= 0) {
    progress_ = load(step);
    keep_warmup();
    follow_schedule();
  }
  share_progress();
}

// What the first process knows and found out, for those that have read the same checkpoint.
void Session::share_progress() {
  struct Shared {
    std::int64_t best_step;
    double best_bits, elapsed;
    bool saved, finished;
  };
  Shared shared{progress_.best_step, progress_.best_bits, elapsed_before_, saved_, finished_};
  world_.broadcast(&shared, sizeof shared);
  progress_.best_step = shared.best_step;
  progress_.best_bits = shared.best_bits;
  elapsed_before_ = saved_s_ = shared.elapsed;
  saved_ = shared.saved;
  finished_ = shared.finished;
  started_ = Clock::now();
}

void Session::resume_first() {
  const std::vector<std::int64_t> checkpoints = run_->named_checkpoints();
  const Config written = run_->config();
  const bool changed = written.data.paths != config_.data.paths || options_.steps || options_.minutes;
  if (checkpoints.empty()) {
    note("the run has no checkpoint yet: it starts from the beginning");
    if (changed) run_->write_config(on_machine(config_, written.training));
    start();
    return;
  }
  const std::vector<Damaged> damaged = load_newest(checkpoints);
  const DataMark now = data_.mark();
  check_data(now);  // before anything in the run changes
  progress_.data = now;
  take_end(written);
  const bool settled = keep_warmup();
  if (changed || settled) run_->write_config(on_machine(config_, written.training));
  follow_schedule();
  set_aside(damaged);
  saved_ = true;
  repair_best();
  elapsed_before_ = saved_s_ = progress_.elapsed_s;
  started_ = Clock::now();
  agreed_.elapsed = elapsed_before_;
  finished_ = saved_ && done() && is_complete() && Journal::says_finished(*run_, progress_.step);
  if (observer_.resumed)
    observer_.resumed({progress_.step, run_->checkpoint_path(progress_.step), progress_.elapsed_s, finished_});
  if (finished_) return;
  journal_.emplace(*run_, &progress_, [this](const std::string& sentence) { note(sentence); });
  take_origin();
  journal_->event(progress_.step, "resumed", progress_.origin);
  journal_->configuration(progress_.step, config_);
}

// Says from where to where, and at what rate: a schedule that is stretched goes up again where it had come down.
void Session::take_end(const Config& written) {
  if (!options_.steps && !options_.minutes) return;
  const TrainingConfig &then = written.training, &now = config_.training;
  const double used = progress_.elapsed_s / 60;
  if (options_.steps && now.steps < progress_.step)
    throw_invalid(
        fmt::format("--steps: counts from the run's beginning, and it has made {}; needs at least as many, got {}",
                    counted(progress_.step, "step"), now.steps));
  if (options_.minutes && now.minutes < used)
    throw_invalid(
        fmt::format("--minutes: counts from the run's beginning, and it has trained for {:.4g} minutes; needs "
                    "at least as many, got {}",
                    used, now.minutes));
  note(fmt::format("the run of {} becomes one of {}: from step {} on its learning rate is that of such a run",
                   length_words(then), length_words(now), with_commas(progress_.step + 1)));
}

// Where the end of a run with an automatic warm-up by the clock was moved, and warm-up is over or the new end counts
// steps: from now on warm-up has the number of steps that it had, so that it is not repeated. Returns whether it was
// so.
bool Session::keep_warmup() {
  TrainingConfig& now = config_.training;
  TrainingConfig then = now;
  then.minutes = progress_.planned_minutes;
  if (now.warmup_steps != TrainingConfig::kAutomaticWarmup || then.minutes <= 0 || then.minutes == now.minutes)
    return false;
  const double share = progress_.elapsed_s / (60 * then.minutes);
  if (!is_warming_up(then, progress_.updates + 1, share)) {  // its steps took about as long each
    const double warm = share > 0 ? std::min(1.0, progress_.warm_share / share) : 1;
    now.warmup_steps = std::llround(warm * static_cast<double>(progress_.updates));
  } else if (now.minutes <= 0) {
    now.warmup_steps = automatic_warmup(now.steps);
  } else {
    return false;
  }
  return true;
}

// Where the run's end was moved: the share of time at which warm-up ended is one of the time that is planned now, and
// patience begins anew.
void Session::follow_schedule() {
  if (options_.steps || options_.minutes) progress_.since_best = 0;
  const TrainingConfig& training = config_.training;
  if (training.minutes <= 0 || progress_.planned_minutes == training.minutes) return;
  if (progress_.planned_minutes > 0) {
    progress_.warm_share *= progress_.planned_minutes / training.minutes;
  } else if (training.warmup_steps == TrainingConfig::kAutomaticWarmup) {
    progress_.warm_share = 0;          // its rule says at each update whether that is warm-up
  } else if (progress_.updates > 0) {  // by steps until now, which took about as long each
    const double warm = static_cast<double>(training.warmup_steps) / static_cast<double>(progress_.updates);
    progress_.warm_share = std::min(1.0, warm) * progress_.elapsed_s / (60 * training.minutes);
  }
}

// What was computed by another program or with other instructions goes on, but not to the bits of a whole run.
void Session::take_origin() {
  const Origin now = this_origin(backend_.facts().device);
  if (progress_.origin && *progress_.origin != now)
    note("the run goes on with " + origin_words(now) + "; up to step " + with_commas(progress_.step) + " it was " +
         origin_words(*progress_.origin) + ": its bits may differ from those of a run by one of them");
  progress_.origin = now;
}

std::vector<Session::Damaged> Session::load_newest(const std::vector<std::int64_t>& checkpoints) {
  std::vector<Damaged> damaged;
  for (auto step = checkpoints.rbegin(); step != checkpoints.rend(); ++step) {
    try {
      progress_ = load(*step);
      return damaged;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::corrupt_data) throw;
      damaged.push_back({*step, error.what()});
    }
  }
  throw Error(ErrorKind::corrupt_data, "train: run \"" + run_->path() + "\" has no checkpoint to go on from: " +
                                           damaged.front().reason + "; train --overwrite starts it anew");
}

void Session::check_data(const DataMark& now) const {
  const std::string checkpoint = "checkpoint " + checkpoint_name(progress_.step);
  if (progress_.data.sha256.empty()) {
    note(checkpoint + " does not say what it was trained on: whether the data are still the same is not known");
  } else if (progress_.data != now) {
    throw_invalid("train: the data of run \"" + run_->path() + "\" changed since step " + with_commas(progress_.step) +
                  ": " + difference_words(progress_.data, now) +
                  "; put them back as they were, name with --data where they lie now, or start another run");
  }
}

void Session::set_aside(const std::vector<Damaged>& damaged) {
  for (const Damaged& checkpoint : damaged) {
    note(checkpoint.reason + "; it is set aside as \"" + run_->set_aside(checkpoint.step) +
         "\" and the run goes on from \"" + checkpoint_name(progress_.step) + "\"");
  }
}

// A kill may have come between a checkpoint and the link to it; and copies of a run may lack the link or the best.
void Session::repair_best() {
  if (progress_.best_step < 0) return;
  const std::vector<std::int64_t> there = run_->checkpoints();
  if (std::find(there.begin(), there.end(), progress_.best_step) != there.end()) {
    mark_best();
  } else if (!run_->has_best_folder()) {
    // The next validation is the best of those that are there, or this one where it was validated.
    const bool validated = progress_.validated_step == progress_.step && progress_.valid_bits >= 0;
    progress_.best_step = validated ? progress_.step : -1;
    progress_.best_bits = progress_.valid_bits;
    saved_ = false;
    run_->unset_best();
  }
}

}  // namespace longstride
