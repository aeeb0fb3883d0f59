// This tells on standard error how training goes, and puts its result into words.
#include "train_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "longstride/device.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::size_t kPartsNamed = 4;  // of the memory, the largest

std::string memory_words(const Plan& plan) {
  auto parts = plan.bytes_by_part;
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  parts.resize(std::min(parts.size(), kPartsNamed));
  std::vector<std::string> named;
  for (const auto& [name, bytes] : parts) named.push_back(fmt::format("{} {}", part_words(name), bytes_words(bytes)));
  return fmt::format("{} planned ({}{}) of {} that are free{}", bytes_words(plan.total_bytes), fmt::join(named, ", "),
                     parts.size() < plan.bytes_by_part.size() ? ", ..." : "", bytes_words(plan.memory_available_bytes),
                     plan.device == "cpu" ? "" : " on " + plan.device_name);
}

// What is left of it, of a run that goes on.
std::string length_words(const Config& config, const Plan& plan, const std::optional<ResumeReport>& resumed) {
  const TrainingConfig& training = config.training;
  if (resumed && resumed->finished) return "the run is finished";
  const std::string left = resumed ? " left" : "";
  if (training.minutes > 0) {
    const double left_s = std::max(0.0, 60 * training.minutes - (resumed ? resumed->elapsed_s : 0));
    return fmt::format("{}{} by the clock", duration_words(left_s), left);
  }
  if (training.steps == 0) return "no step: the initial weights are written";
  if (2 * plan.total_bytes > plan.memory_available_bytes) return "as the first steps will say";  // no room to try
  const double step_s = measure_step(config, plan);
  if (step_s == 0) return "as the first steps will say";  // not known before
  const std::int64_t steps = std::max<std::int64_t>(0, training.steps - (resumed ? resumed->step : 0));
  const double seconds = step_s * static_cast<double>(steps);
  return fmt::format("{}{}{}, validation and samples aside", seconds < 1 ? "" : "about ", duration_words(seconds),
                     left);
}

std::string weights_words(const TrainingConfig& training, const std::optional<ResumeReport>& resumed) {
  if (resumed) return fmt::format("those of {}, after {}", resumed->path, counted(resumed->step, "step"));
  if (!training.init.empty()) return fmt::format("those of {}", training.init);
  return fmt::format("random, by seed {}", training.seed);
}

std::string batch_words(const Config& config, const Plan& plan, const std::string& processes) {
  const TrainingConfig& training = config.training;
  const std::string steps = training.minutes > 0 ? "steps" : counted(training.steps, "step");
  const std::string parts = training.accumulate > 1 ? fmt::format(" in {} parts", training.accumulate) : "";
  return fmt::format("{} of {} x {} tokens{}, {} recomputation, {}", steps, training.batch * training.accumulate,
                     with_commas(config.model.context), parts, plan.recompute == Recompute::block ? "with" : "without",
                     processes);
}

}  // namespace

void TrainScreen::started(const Config& resolved, const Plan& plan, const std::string& data) {
  config_ = resolved;
  if (quiet_) return;
  std::vector<std::pair<std::string, std::string>> rows = {{"weights", weights_words(resolved.training, resumed_)}};
  if (!begun_with_.empty()) rows.emplace_back("settings", begun_with_);
  rows.insert(rows.end(),
              {{"model", fmt::format("{}: {} parameters", model_words(resolved.model), with_commas(plan.parameters))},
               {"attention", attention_words(resolved.model)},
               {"data", data},
               {"training", batch_words(resolved, plan, processes_)},
               {"precision", precision_words(plan)},
               {"memory", memory_words(plan)},
               {"time", length_words(resolved, plan, resumed_)}});
  line_.print(two_columns(rows));
  if (!plan.fits) note("this may not fit in memory; " + plan.advice);
}

void TrainScreen::stepped(const StepReport& report) {
  const std::string validation = valid_bits_ < 0 ? "" : fmt::format(" (validation {:.3f})", valid_bits_);
  line_.show(fmt::format("{} left  {:.0f}%  step {}/{}  {:.3f} bits/{}{}  {} tokens/s  {:.0f}% of peak",
                         duration_words(report.time_left_s), 100 * report.share, with_commas(report.step),
                         with_commas(std::max(report.step, report.steps)), report.smoothed_bits,
                         bits_unit(config_.data), validation, rate_words(report.tokens_per_s),
                         100 * report.utilisation));
}

void TrainScreen::sampled(const SampleReport& report) {
  const std::string cut =
      report.share < 1 ? fmt::format(", {:.0f}% of it in the time that samples get", 100 * report.share) : "";
  const bool text = is_text(config_.data);
  line_.print(text ? fmt::format("step {}: a sample{}\n{}\n", with_commas(report.step), cut, printable(report.text))
                   : fmt::format("step {}: a sample, {}{}", with_commas(report.step), escaped(report.path), cut));
}

TrainObserver TrainScreen::observer() {
  TrainObserver observer;
  observer.resumed = [this](const ResumeReport& report) { resumed_ = report; };
  observer.started = [this](const Config& resolved, const Plan& plan, const std::string& data) {
    started(resolved, plan, data);
  };
  observer.stepped = [this](const StepReport& report) { stepped(report); };
  observer.validated = [this](std::int64_t step, double bits, bool best) {
    valid_bits_ = bits;
    line_.print(fmt::format("step {}: {:.4f} bits per {} on validation{}", with_commas(step), bits,
                            bits_unit(config_.data), best ? ", the best so far" : ""));
  };
  observer.saved = [this](std::int64_t step, const std::string& path) {
    if (std::exchange(saved_step_, step) == step) return;  // once more, with what was scored since
    line_.print(fmt::format("step {}: saved {}", with_commas(step), escaped(path)));
  };
  observer.sampled = [this](const SampleReport& report) { sampled(report); };
  observer.noted = [this](const std::string& sentence) { note(sentence); };
  return observer;
}

std::string result_words(const TrainResult& result, const Config& config, const std::string& out) {
  std::vector<std::pair<std::string, std::string>> rows;
  const std::string unit = bits_unit(config.data);
  if (result.valid_bits >= 0)
    rows.emplace_back("validation", fmt::format("{:.4f} bits per {}", result.valid_bits, unit));
  if (result.test_bits >= 0) {
    rows.emplace_back("test",
                      fmt::format("{:.4f} bits per {} on {} bytes; the same bytes: 8 raw, {:.4f} by their "
                                  "order-0 entropy",
                                  result.test_bits, unit, with_commas(result.test_bytes), result.test_order0_bits));
  }
  rows.emplace_back("run", fmt::format("{}, {}; checkpoint {}", out, counted(result.step, "step"), result.checkpoint));
  rows.emplace_back(
      "by", fmt::format("{}; seed {}; {} bytes of data, sha256 {}", origin_words(result.origin), config.training.seed,
                        with_commas(result.data_bytes), result.data_sha256.substr(0, 12)));
  std::vector<std::string> paths;
  for (const std::string& path : config.data.paths) paths.push_back(shell_word(path));
  const std::string run = shell_word(out);
  const std::string& kind = config.data.kind;
  const char* sample = kind == "image"   ? "--count 16 --out pictures.png"
                       : kind == "sound" ? "--out sound.wav"
                                         : "--tokens 500";
  rows.emplace_back("next", fmt::format("longstride sample {} {}", run, sample));
  const char* part = result.test_bits >= 0 ? "test" : result.valid_bits >= 0 ? "valid" : "all";  // one that is there
  rows.emplace_back("", fmt::format("longstride evaluate {} --split {} --data {}", run, part, fmt::join(paths, " ")));
  return two_columns(rows);
}

}  // namespace longstride::program
