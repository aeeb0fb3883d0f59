// What a run writes down as it goes: log.jsonl (docs/files.md) and TensorBoard's event files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "io/file.h"
#include "io/tensorboard.h"
#include "longstride/origin.h"
#include "longstride/train.h"
#include "train/config_changes.h"
#include "train/made_sample.h"
#include "train/run_directory.h"
#include "train/state.h"

namespace longstride {

class Journal {
 public:
  // run: outlives this. before: where the run stood as this session began; lines that it does not know of, which a
  // crash left, are dropped, and `noted` hears what else is wrong with them. Null: all lines are. TensorBoard's files
  // are a convenience: where they cannot be written, `noted` hears of it, and the log goes on without them.
  Journal(const RunDirectory& run, const Progress* before, Noted noted);

  // Whether the log says that the run ended with this step.
  static bool says_finished(const RunDirectory& run, std::int64_t step);

  void step(const StepReport& report);
  void validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                  std::int64_t tokens_scored);
  void sample(std::int64_t step, const std::string& name, const MadeSample& sample);  // name: of its file, below RUN
  void configuration(std::int64_t step, const Config& config);  // for TensorBoard: the run has it in a file
  // started, resumed, interrupted, finished; origin: of what computes from now on.
  void event(std::int64_t step, const std::string& name, const std::optional<Origin>& origin = {});
  void sync() { lines_->sync(); }

 private:
  // TensorBoard takes each folder for a run, and shows what has one tag in several of them in one chart.
  struct Events {
    EventWriter whole, train, valid;
  };
  void write(const std::string& line);
  void show(const std::function<void(Events&)>& write);

  const RunDirectory& run_;
  std::optional<LineWriter> lines_;
  std::optional<Events> events_;  // nothing where they could not be written
  Noted noted_;
};

}  // namespace longstride
