// Lines of a run's log.jsonl (docs/json.md) as a session that goes on reads them: what each tells of, which of them
// stay, and what is wrong with all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "train/progress.h"

namespace longstride {

struct LogLine {
  enum class Kind { step, validation, sample, event };
  Kind kind = Kind::event;
  std::int64_t step = 0;
  double step_s = 0;     // of a step
  bool skipped = false;  // of a step
  std::string event;     // of an event: started, resumed, ...
};

// Nothing where it is no line of a log.
std::optional<LogLine> read_log_line(std::string_view line);

// Whether a line tells of something that is a part of the run as it stood then: what a run that goes on from there
// keeps of its log.
bool is_known(const LogLine& line, const Progress& before);

// Goes through a log line by line, in order.
class KeptLines {
 public:
  explicit KeptLines(const Progress& before) : before_(before) {}
  // False for what the run does not know of, and for a line of a step, a validation or a sample that was kept already.
  bool keep(std::string_view line);
  // What was wrong with those that are known, a sentence each.
  std::vector<std::string> problems() const;

 private:
  const Progress& before_;
  std::unordered_map<std::int64_t, std::size_t> seen_[3];  // hash of the first line of a step, a kind each
  std::int64_t doubled_ = 0;                               // the same line again
  std::int64_t twice_ = 0;                                 // another line of the same step
};

}  // namespace longstride
