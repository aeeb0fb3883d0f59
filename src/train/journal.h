// What a run writes down as it goes: log.jsonl (docs/files.md) and TensorBoard's event files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/file.h"
#include "io/tensorboard.h"
#include "longstride/train.h"
#include "train/made_sample.h"
#include "train/run_directory.h"

namespace longstride {

// Whether a line of log.jsonl tells of a step up to this one: what a run that goes on from there keeps of its log.
bool is_up_to(std::int64_t step, std::string_view line);

class Journal {
 public:
  static constexpr std::int64_t kNothing = -1;
  // first_step: steps done before this session; lines beyond it, which a crash left, are dropped. kNothing: all lines.
  Journal(const RunDirectory& run, std::int64_t first_step);

  void step(const StepReport& report);
  void validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                  std::int64_t tokens_scored);
  void sample(std::int64_t step, const std::string& name, const MadeSample& sample);  // name: of its file, below RUN
  void event(std::int64_t step, const std::string& name);  // started, resumed, interrupted, finished
  void sync() { lines_.sync(); }

 private:
  LineWriter lines_;
  EventWriter events_;
};

}  // namespace longstride
