// This tells a run that never had a checkpoint from one that has lost all of them, by what its log says.
#include "train/whole_run.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "io/file.h"
#include "io/run_parts.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/config.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "train/log_lines.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

// What a log says of the checkpoints that there must have been, line after line. A session that ends writes one before
// its last line, and one that is resumed has had one. Of a session that was killed the clock tells: once the time of a
// checkpoint has come, or the first validation was made, it is written before the next step. While steps are skipped
// none is.
class Told {
 public:
  explicit Told(double between_s) : between_s_(between_s) {}

  void take(const LogLine& line) {
    steps_ = std::max(steps_, line.step);
    if (line.kind == LogLine::Kind::step) {
      saved_ = saved_ || (due_ && !line.skipped);
      trained_s_ += line.step_s;
      skipped_ = line.skipped;
      due_ = !skipped_ && trained_s_ >= between_s_;
    } else if (line.kind == LogLine::Kind::validation) {
      due_ = true;
    } else if (line.kind == LogLine::Kind::event) {
      saved_ =
          saved_ || line.event == "resumed" || line.event == "finished" || (line.event == "interrupted" && !skipped_);
      diverged_ = line.event == "diverged";
    }
  }

  std::int64_t steps() const { return steps_; }  // the last that is named
  bool saved() const { return saved_; }
  bool diverged() const { return diverged_; }  // at its end

 private:
  double between_s_ = 0, trained_s_ = 0;
  std::int64_t steps_ = 0;
  bool due_ = false, skipped_ = false;  // of the last step
  bool saved_ = false, diverged_ = false;
};

double seconds_between_checkpoints(const std::string& config) {
  try {
    const double minutes = read_config({InputFile(config).text()}, {config}, {}).training.checkpoint_minutes;
    return minutes > 0 ? 60 * minutes : std::numeric_limits<double>::infinity();
  } catch (const Error&) {  // what is wrong with it is said where it is used
    return std::numeric_limits<double>::infinity();
  }
}

Told told_by(const std::string& run) {
  Told told(seconds_between_checkpoints(run + "/" + kConfigFile));
  const std::string log = run + "/" + kLogFile, text = is_there(log) ? InputFile(log).text() : "";
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    if (const auto line = read_log_line(std::string_view(text).substr(begin, end - begin))) told.take(*line);
  return told;
}

bool has_some_set_aside(const std::string& folder) {
  const std::vector<std::string> names = names_in(folder);
  return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(kDamaged); });
}

}  // namespace

void require_run_parts(const std::string& run) {
  for (const char* file : {kConfigFile, kLogFile}) {
    try {
      require_plain_file(run + "/" + file);
    } catch (const Error& error) {
      throw Error(error.kind(), std::string("train: ") + error.what());
    }
  }
  for (const char* part : {kCheckpointFolder, kSampleFolder, kEventFolder}) {
    const std::string folder = run + "/" + part;
    std::error_code none;
    const fs::path target = fs::read_symlink(folder, none);
    if (target.empty() || is_there(folder)) continue;
    throw Error(ErrorKind::exhausted,
                fmt::format("train: \"{}\" is a link to \"{}\", where nothing is; bring that back, or make the link "
                            "lead to where it is now",
                            folder, target.string()));
  }
}

void require_none_lost(const std::string& run) {
  const std::string folder = run + "/" + kCheckpointFolder;
  const bool there = is_there(folder);
  const Told told = told_by(run);
  if (told.diverged() && there && has_some_set_aside(folder)) return;
  const bool begun = told.steps() > 0 && !there;  // a run makes the folder before its first step
  if (told.steps() == 0 || !(told.saved() || begun)) return;
  throw Error(
      ErrorKind::corrupt_data,
      fmt::format("train: run \"{}\" has no checkpoint to go on from: its log.jsonl knows of {}, and \"{}\" {}; "
                  "bring its checkpoints back, or train --overwrite starts it anew",
                  run, counted(told.steps(), "step"), folder, there ? "holds none" : "is gone"));
}

}  // namespace longstride
