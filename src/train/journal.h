// What a run writes down as it goes: log.jsonl (docs/files.md) and TensorBoard's event files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/file.h"
#include "io/tensorboard.h"
#include "longstride/origin.h"
#include "longstride/train.h"
#include "train/made_sample.h"
#include "train/run_directory.h"

namespace longstride {

class Journal {
 public:
  static constexpr std::int64_t kNothing = -1;
  // first_step: steps done before this session; lines beyond it, which a crash left, are dropped. kNothing: all lines.
  Journal(const RunDirectory& run, std::int64_t first_step);

  void step(const StepReport& report);
  void validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                  std::int64_t tokens_scored);
  void sample(std::int64_t step, const std::string& name, const MadeSample& sample);  // name: of its file, below RUN
  // started, resumed, interrupted, finished; origin: of what computes from now on.
  void event(std::int64_t step, const std::string& name, const std::optional<Origin>& origin = {});
  void sync() { lines_.sync(); }

 private:
  LineWriter lines_;
  EventWriter events_;
};

}  // namespace longstride
