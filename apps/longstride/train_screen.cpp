// This tells on standard error how training goes, and puts its result into words.
#include "train_screen.h"

#include <fmt/format.h>

#include <algorithm>

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

std::string length_words(const Config& config, const Plan& plan) {
  const TrainingConfig& training = config.training;
  if (training.minutes > 0) return fmt::format("{} by the clock", duration_words(60 * training.minutes));
  if (training.steps == 0) return "no step: the initial weights are written";
  if (2 * plan.total_bytes > plan.memory_available_bytes) return "as the first steps will say";  // no room to try
  const double seconds = measure_step(config, plan) * static_cast<double>(training.steps);
  if (seconds == 0) return "as the first steps will say";  // not known before
  return fmt::format("{}{}, validation and samples aside", seconds < 1 ? "" : "about ", duration_words(seconds));
}

std::string batch_words(const Config& config, const Plan& plan, const std::string& processes) {
  const TrainingConfig& training = config.training;
  const std::string steps = training.minutes > 0 ? "steps" : with_commas(training.steps) + " steps";
  const std::string parts = training.accumulate > 1 ? fmt::format(" in {} parts", training.accumulate) : "";
  return fmt::format("{} of {} x {} tokens{}, {} recomputation, {}", steps, training.batch * training.accumulate,
                     with_commas(config.model.context), parts, plan.recompute == Recompute::block ? "with" : "without",
                     processes);
}

}  // namespace

void TrainScreen::started(const Config& resolved, const Plan& plan, const std::string& data) {
  config_ = resolved;
  if (quiet_) return;
  const TrainingConfig& training = resolved.training;
  const std::string weights = training.init.empty() ? fmt::format("random, by seed {}", training.seed)
                                                    : fmt::format("those of {}", training.init);
  line_.print(two_columns(
      {{"weights", weights},
       {"model", fmt::format("{}: {} parameters", model_words(resolved.model), with_commas(plan.parameters))},
       {"attention", attention_words(resolved.model)},
       {"data", data},
       {"training", batch_words(resolved, plan, processes_)},
       {"precision", precision_words(plan)},
       {"memory", memory_words(plan)},
       {"time", length_words(resolved, plan)}}));
  if (!plan.fits) note("this may not fit in memory; " + plan.advice);
}

void TrainScreen::stepped(const StepReport& report) {
  const std::string validation = valid_bits_ < 0 ? "" : fmt::format(" (validation {:.3f})", valid_bits_);
  line_.show(fmt::format("{} left  {:.0f}%  step {}/{}  {:.3f} bits/byte{}  {} tokens/s  {:.0f}% of peak",
                         duration_words(report.time_left_s), 100 * report.share, with_commas(report.step),
                         with_commas(std::max(report.step, report.steps)), report.smoothed_bits, validation,
                         rate_words(report.tokens_per_s), 100 * report.utilisation));
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
  observer.started = [this](const Config& resolved, const Plan& plan, const std::string& data) {
    started(resolved, plan, data);
  };
  observer.stepped = [this](const StepReport& report) { stepped(report); };
  observer.validated = [this](std::int64_t step, double bits, bool best) {
    valid_bits_ = bits;
    line_.print(fmt::format("step {}: {:.4f} bits per byte on validation{}", with_commas(step), bits,
                            best ? ", the best so far" : ""));
  };
  observer.saved = [this](std::int64_t step, const std::string& path) {
    line_.print(fmt::format("step {}: saved {}", with_commas(step), escaped(path)));
  };
  observer.sampled = [this](const SampleReport& report) { sampled(report); };
  observer.noted = [this](const std::string& sentence) { note(sentence); };
  return observer;
}

std::string result_words(const TrainResult& result, const Config& config, const std::string& out) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (result.valid_bits >= 0) rows.emplace_back("validation", fmt::format("{:.4f} bits per byte", result.valid_bits));
  if (result.test_bits >= 0) {
    rows.emplace_back("test", fmt::format("{:.4f} bits per byte on {} bytes; the same bytes: 8 raw, {:.4f} by their "
                                          "order-0 entropy",
                                          result.test_bits, with_commas(result.test_bytes), result.test_order0_bits));
  }
  rows.emplace_back("run",
                    fmt::format("{}, {} steps; checkpoint {}", out, with_commas(result.step), result.checkpoint));
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
  rows.emplace_back("", fmt::format("longstride evaluate {} --split test --data {}", run, fmt::join(paths, " ")));
  return two_columns(rows);
}

}  // namespace longstride::program
