// A run from where it stands to its end or its interruption: steps by the schedule, and by the clock validations,
// samples and checkpoints between them. Nothing that the clock decides touches the weights, unless the schedule itself
// goes by the clock (training.minutes).
//
// Where several processes train, each has a session, and all take the same decisions: by the clock of the first, and by
// every one's signals. The first alone has the run directory and tells an observer.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "data/dataset.h"
#include "evaluate/protocol.h"
#include "longstride/plan.h"
#include "longstride/train.h"
#include "model/engine.h"
#include "parallel/world.h"
#include "train/journal.h"
#include "train/run_directory.h"
#include "train/state.h"
#include "train/trainer.h"

namespace longstride {

class Session {
 public:
  // config: resolved by `plan`. peak: multiply-adds a second that the machine's best product reaches.
  // run: of the first process, none elsewhere.
  Session(Backend& backend, const Config& config, const Plan& plan, double peak, std::optional<RunDirectory> run,
          const Dataset& data, const TrainOptions& options, const TrainObserver& observer, World& world);

  void start();   // from the initial weights
  void resume();  // from the last checkpoint that is whole; from the initial weights where there is none yet
  TrainResult run();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::int64_t kSkipsBeforeGivingUp = 10;  // in a row: no single window of bad luck, the run is lost

  bool is_first() const { return world_.rank() == 0; }
  bool alone() const { return world_.size() == 1; }
  bool told_to_stop() const { return options_.stop != nullptr && options_.stop->load(); }
  bool stopped() const { return alone() ? told_to_stop() : agreed_.stopped; }
  // What all processes go by from now on: the first one's clock and the length of its step, and anyone's signal.
  double agree(double step_s = 0);
  struct Damaged {
    std::int64_t step = 0;
    std::string reason;
  };
  std::vector<Damaged> load_newest(const std::vector<std::int64_t>& checkpoints);  // that is whole; returns newer ones
  void begin_with(const std::string& path);
  Progress load(std::int64_t step);
  void resume_first();
  void note_finished() const;
  void take_end(const Config& written);  // options_.steps or minutes; written: config.json as it is
  bool keep_warmup();
  void follow_schedule();
  void share_progress();
  void check_data(const DataMark& now) const;
  void set_aside(const std::vector<Damaged>& damaged);
  void repair_best();
  void take_origin();
  bool done() const { return reached_end() || lost_patience(); }
  bool reached_end() const;
  bool lost_patience() const {
    return config_.training.patience > 0 && progress_.since_best >= config_.training.patience;
  }
  double elapsed() const;  // seconds of training, earlier sessions included; as agreed
  double clock() const;    // the same of this process, now
  double share() const;    // of the run that is done
  double rate();
  void step();
  void step_or_save();
  StepReport report(const Trainer::Result& result, double rate, double step_s);
  [[noreturn]] void give_up(const std::string& first);  // what was not finite
  [[noreturn]] void end_unsound();
  [[noreturn]] void end_diverged(const std::string& what);
  std::string newest_sound();  // words of the newest checkpoint whose weights are good; sets one that is not aside
  bool weights_are_sound();    // finite, and their losses where that is in doubt
  bool due(std::int64_t last_step, double last_s, double minutes) const;  // not at this step yet, and long ago
  void between_steps();
  void go_on(TrainResult& result);  // to the end, or until the run is stopped

  // Bits of the first `tokens` bytes of a part, as many as there are; none where it is empty or the run was stopped.
  std::optional<Score> score(Split split, std::int64_t tokens);
  std::int64_t tokens_in(double seconds) const;
  // Where the run is stopped meanwhile these two leave things as they were, for the session that goes on.
  void validate(std::int64_t tokens);
  void make_sample(double seconds);  // takes about so many at most
  bool write_sample(double begun, double seconds);
  void save();  // where anything is new and the weights are sound
  void mark_best();
  void finish();
  double final_seconds() const;  // for each of what is done at the end
  bool is_complete() const;      // validated and sampled at its last step
  void test(TrainResult& result);
  std::string changed_data() const;  // what in them, in words, and says so
  void note(const std::string& sentence) const;

  Backend& backend_;
  Config config_;
  Plan plan_;
  double peak_;
  World& world_;
  std::optional<RunDirectory> run_;  // of the first process
  const Dataset& data_;
  TrainOptions options_;
  TrainObserver observer_;
  TrainState state_;
  Trainer trainer_;
  std::optional<Engine> engine_;
  std::optional<Journal> journal_;  // of the first process
  Progress progress_;
  std::string begun_with_;           // the hash of the file whose weights it began with; none: random
  bool saved_ = false;               // all that there is
  std::int64_t saved_updates_ = -1;  // that the newest checkpoint has; -1: it has none
  bool finished_ = false;            // by an earlier session: nothing is to be done
  bool link_failed_ = false;         // and it was said
  struct Agreed {
    double elapsed = 0, step_s = 0;
    bool stopped = false;
  };
  Agreed agreed_;
  Clock::time_point started_;
  double elapsed_before_ = 0, saved_s_ = 0;  // elapsed() as the last checkpoint was begun
};

}  // namespace longstride
