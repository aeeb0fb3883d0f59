// This reads lines of a log one by one and remembers which steps they told of.
#include "train/log_lines.h"

#include <functional>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "io/words.h"

namespace longstride {

std::optional<LogLine> read_log_line(std::string_view line) {
  if (line.find('\0') != std::string_view::npos) return std::nullopt;  // the parser takes it for the end
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto step = json.is_object() ? json.find("step") : json.end();
  if (!json.is_object() || step == json.end() || !step->is_number_integer()) return std::nullopt;
  LogLine read;
  read.step = step->get<std::int64_t>();
  read.kind = json.contains("valid_bits")  ? LogLine::Kind::validation
              : json.contains("sample")    ? LogLine::Kind::sample
              : json.contains("loss_bits") ? LogLine::Kind::step
                                           : LogLine::Kind::event;
  if (const auto time = json.find("step_s"); time != json.end() && time->is_number()) read.step_s = time->get<double>();
  read.skipped = json.contains("skipped");
  if (const auto event = json.find("event"); event != json.end() && event->is_string())
    read.event = event->get<std::string>();
  return read;
}

bool is_known(const LogLine& line, const Progress& before) {
  const std::int64_t known = line.kind == LogLine::Kind::validation ? before.validated_step
                             : line.kind == LogLine::Kind::sample   ? before.sampled_step
                                                                    : before.step;
  return line.step <= known;
}

bool KeptLines::keep(std::string_view line) {
  const std::optional<LogLine> read = read_log_line(line);
  if (!read || !is_known(*read, before_)) return false;
  if (read->kind == LogLine::Kind::event) return true;
  const std::size_t hash = std::hash<std::string_view>()(line);
  const auto [first, is_new] = seen_[static_cast<std::size_t>(read->kind)].emplace(read->step, hash);
  if (is_new) return true;
  const bool same = first->second == hash;
  ++(same ? doubled_ : twice_);
  return !same;
}

std::vector<std::string> KeptLines::problems() const {
  std::vector<std::string> words;
  const auto& steps = seen_[static_cast<std::size_t>(LogLine::Kind::step)];
  std::int64_t there = 0, first = 1;
  for (const auto& [step, hash] : steps) there += step >= 1 && step <= before_.step;
  while (first <= before_.step && steps.contains(first)) ++first;
  if (there < before_.step)
    words.push_back(
        fmt::format("log.jsonl has no line of {} of the {} that the run has made, the first of them step "
                    "{}: what is missing there stays so",
                    with_commas(before_.step - there), counted(before_.step, "step"), with_commas(first)));
  if (doubled_ > 0)
    words.push_back(fmt::format("log.jsonl had {} twice: one of each stays", counted(doubled_, "line")));
  if (twice_ > 0)
    words.push_back(
        fmt::format("log.jsonl has {} of what another line before tells otherwise: all stay", counted(twice_, "line")));
  return words;
}

}  // namespace longstride
