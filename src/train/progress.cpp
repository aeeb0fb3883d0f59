// This writes the numbers of Progress as texts by name, and reads them back.
#include "train/progress.h"

#include <charconv>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

namespace {

constexpr const char* kDataHash = "data_sha256";
constexpr const char* kSinceBest = "since_best";
constexpr const char* kWindows = "windows";
constexpr std::int64_t kMostWindows = std::int64_t{1} << 40;  // no run reads as many

// Numbers of Progress by name: one list for writing and reading. The shortest text that reads back the same.
template <typename Visit>
void each_number(Progress& p, Visit visit) {
  visit("step", p.step);
  visit("updates", p.updates);
  visit("skipped", p.skipped);
  visit("skipped_in_a_row", p.skipped_in_a_row);
  visit("elapsed_s", p.elapsed_s);
  visit("warm_share", p.warm_share);
  visit("smoothed_bits", p.smoothed_bits);
  visit("best_bits", p.best_bits);
  visit("best_step", p.best_step);
  visit("valid_bits", p.valid_bits);
  visit("valid_tokens", p.valid_tokens);
  visit("tokens_per_s", p.tokens_per_s);
}

// Those that states of version 0.1.0 lack.
template <typename Visit>
void each_later_number(Progress& p, Visit visit) {
  visit("validated_step", p.validated_step);
  visit("sampled_step", p.sampled_step);
  visit("validated_s", p.validated_s);
  visit("sampled_s", p.sampled_s);
}

template <typename Visit>
void each_number(DataMark& mark, Visit visit) {
  visit("data_bytes", mark.bytes);
  visit("data_train_bytes", mark.train_bytes);
  visit("data_valid_bytes", mark.valid_bytes);
}

template <typename Number>
std::string to_text(Number value) {
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

std::map<std::string, std::string> progress_metadata(const Progress& progress) {
  std::map<std::string, std::string> metadata = {{"format", "longstride-state-1"}};
  Progress numbers = progress;
  const auto put_number = [&](const char* name, const auto& value) { metadata[name] = to_text(value); };
  each_number(numbers, put_number);
  each_later_number(numbers, put_number);
  put_number(kSinceBest, numbers.since_best);
  put_number(kWindows, numbers.windows);
  if (!progress.data.sha256.empty()) {
    each_number(numbers.data, put_number);
    metadata[kDataHash] = progress.data.sha256;
  }
  return metadata;
}

Progress read_progress(const SafetensorsFile& state) {
  Progress progress;
  const auto read_number = [&](const char* name, auto& value) {
    const auto found = state.metadata().find(name);
    const std::string text = found == state.metadata().end() ? "" : found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      throw Error(ErrorKind::corrupt_data, "train: \"" + state.path() + "\" lacks the number \"" + name + "\"");
  };
  each_number(progress, read_number);
  if (state.metadata().contains("validated_step")) {
    each_later_number(progress, read_number);
  } else {  // what the log says of steps up to this one was done
    progress.validated_step = progress.sampled_step = progress.step;
    progress.validated_s = progress.sampled_s = progress.elapsed_s;
  }
  if (state.metadata().contains(kSinceBest)) read_number(kSinceBest, progress.since_best);
  progress.windows = kUnknownWindows;
  if (state.metadata().contains(kWindows)) {
    read_number(kWindows, progress.windows);
    if (progress.windows < 0 || progress.windows > kMostWindows)
      throw Error(ErrorKind::corrupt_data, fmt::format("train: \"{}\" counts {} windows, which are not in [0, {}]",
                                                       state.path(), progress.windows, kMostWindows));
  }
  if (const auto hash = state.metadata().find(kDataHash); hash != state.metadata().end()) {
    each_number(progress.data, read_number);
    progress.data.sha256 = hash->second;
  }
  return progress;
}

}  // namespace longstride
