// What a session does where losses or gradients stop being finite: which weights are good, and how it ends.
//
// An update may overflow although the step that it belongs to was finite. So weights are known to be good once the loss
// of a later pass is finite, and a checkpoint whose weights gave none is set aside: a run that goes on begins before
// it.
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "parallel/agreement.h"
#include "train/session.h"

namespace longstride {

// A pass costs little beside writing a checkpoint, but is made only where there is a reason: steps that were skipped,
// no earlier checkpoint that would stay, or the end, behind which no step would tell.
bool Session::weights_are_sound() {
  bool finite = state_.first_weight_not_finite().empty();
  world_.broadcast(&finite, sizeof finite);
  if (!finite) return false;
  if (progress_.skipped_in_a_row == 0 && config_.training.keep > 1 && !done()) return true;
  const ByteRange part = data_.part(Split::train);
  try {
    score_range(trainer_.network(), data_, {part.begin, part.begin + config_.model.context}, 0, {}, nullptr, world_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) throw;
    return false;
  }
  return true;
}

std::string Session::newest_sound() {
  if (!run_) return "";
  std::vector<std::int64_t> checkpoints = run_->checkpoints();
  if (!checkpoints.empty() && saved_updates_ == progress_.updates) {
    const std::int64_t step = checkpoints.back();
    if (step == progress_.best_step) run_->unset_best();
    note(fmt::format("the weights of checkpoint \"{}\" are those that gave no finite loss: it is set aside as \"{}\"",
                     checkpoint_name(step), run_->set_aside(step)));
    checkpoints.pop_back();
  }
  if (checkpoints.empty()) return "there is no checkpoint whose weights are known to be good, and --resume begins anew";
  return fmt::format("the newest checkpoint whose weights are known to be good is \"{}\", and --resume goes on from it",
                     run_->checkpoint_path(checkpoints.back()));
}

// Any process may be the one that is heard.
void Session::end_diverged(const std::string& what) {
  if (journal_) {
    journal_->event(progress_.step, "diverged");
    journal_->sync();
  }
  changed_data();
  const std::string last = shared_text(world_, newest_sound());
  throw Error(ErrorKind::diverged,
              fmt::format("train: {}; {}; a lower training.learning_rate, a training.clip above 0 or a longer "
                          "training.warmup_steps usually helps, also in the run's config.json before --resume",
                          what, last));
}

void Session::give_up(const std::string& first) {
  end_diverged(fmt::format("losses or gradients were not finite {} steps in a row, up to step {}, first {}",
                           kSkipsBeforeGivingUp, progress_.step, first));
}

void Session::end_unsound() {
  const std::string skipped =
      progress_.skipped_in_a_row > 0
          ? fmt::format(" (the last {} skipped)", progress_.skipped_in_a_row == 1
                                                      ? std::string("step was")
                                                      : counted(progress_.skipped_in_a_row, "step") + " were")
          : "";
  end_diverged(fmt::format("the run has come to its end at step {} with weights that give no finite loss{}, first {}",
                           progress_.step, skipped, trainer_.first_not_finite()));
}

}  // namespace longstride
