// longstride plan: what a run will need, before it starts.
#include "longstride/plan.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "options.h"
#include "output.h"
#include "words.h"

namespace longstride::program {
namespace {

struct PlanOptions {
  ConfigOptions config;
  OutputOptions output;
};

using Rows = std::vector<std::pair<std::string, std::string>>;

// What a run takes in time, as it is measured here and now; none where it does not fit.
struct RunTime {
  double step_s = 0, run_s = 0;
};

std::optional<RunTime> run_time(const Config& config, const Plan& plan) {
  if (!plan.fits) return std::nullopt;
  const double step_s = measure_step(config, plan);
  const bool by_clock = config.training.minutes > 0;
  return RunTime{step_s, by_clock ? 60 * config.training.minutes : step_s * static_cast<double>(config.training.steps)};
}

std::string time_words(const Config& config, const RunTime& time) {
  const bool by_clock = config.training.minutes > 0;
  const std::string steps =
      by_clock ? "about " + with_commas(std::llround(time.run_s / time.step_s)) : with_commas(config.training.steps);
  const std::string step = time.step_s < 90 ? fmt::format("{:.3g} s", time.step_s) : duration_words(time.step_s);
  return fmt::format("{} a step, as measured now; {} for {} steps, validation and samples aside", step,
                     duration_words(time.run_s), steps);
}

nlohmann::ordered_json to_json(const Plan& plan, const std::optional<RunTime>& time) {
  nlohmann::ordered_json json;
  json["parameters"] = plan.parameters;
  json["parameters_by_part"] = nlohmann::ordered_json::object();
  for (const auto& [part, count] : plan.parameters_by_part) json["parameters_by_part"][part] = count;
  json["bytes"] = nlohmann::ordered_json::object();
  for (const auto& [part, bytes] : plan.bytes_by_part) json["bytes"][part] = bytes;
  json["bytes"]["total"] = plan.total_bytes;
  json["memory_available_bytes"] = plan.memory_available_bytes;
  json["multiply_adds_per_step"] = plan.multiply_adds_per_step;
  json["fits"] = plan.fits;
  json["advice"] = plan.fits ? nlohmann::ordered_json() : nlohmann::ordered_json(plan.advice);
  json["step_s"] = time ? nlohmann::ordered_json(time->step_s) : nlohmann::ordered_json();
  json["run_s"] = time ? nlohmann::ordered_json(time->run_s) : nlohmann::ordered_json();
  return json;
}

std::string to_words(const Config& config, const Plan& plan, const std::optional<RunTime>& time) {
  std::string text = fmt::format("{}, attention {}\n", model_words(config.model), attention_words(config.model));
  Rows rows;
  for (const auto& [part, count] : plan.parameters_by_part) rows.emplace_back(part, with_commas(count));
  rows.emplace_back("total", with_commas(plan.parameters));
  text += "\nparameters\n" + two_columns(rows);

  rows.clear();
  for (const auto& [part, bytes] : plan.bytes_by_part) rows.emplace_back(part_words(part), bytes_words(bytes));
  rows.emplace_back("total", bytes_words(plan.total_bytes));
  text += fmt::format("\nmemory ({}; {} recomputation)\n", precision_words(plan),
                      plan.recompute == Recompute::block ? "with" : "without");
  text += two_columns(rows);
  text += fmt::format("  activations and workspace: {} without recomputation, {} with\n",
                      bytes_words(plan.bytes_without_recomputation), bytes_words(plan.bytes_with_recomputation));

  text += fmt::format("\n{} multiply-adds a step of {} tokens\n", with_commas(plan.multiply_adds_per_step),
                      with_commas(config.training.batch * config.training.accumulate * config.model.context));
  if (time) text += time_words(config, *time) + "\n";
  text += fmt::format("{}: {} of memory are free{}\n", plan.fits ? "fits" : "does not fit",
                      bytes_words(plan.memory_available_bytes), plan.fits ? "" : "; " + plan.advice);
  return text;
}

int run(const PlanOptions& options) {
  const Config config = read_options(options.config);
  apply_threads(config.training.threads);  // the workspace grows with them
  const Plan plan = plan_training(config);
  const std::optional<RunTime> time = run_time(config, plan);
  if (options.output.json) {
    print_json(to_json(plan, time));
  } else {
    print_words(to_words(config, plan, time));
  }
  return plan.fits ? 0 : 1;
}

}  // namespace

Command plan_command(CommandLine program) {
  CommandLine app = program.add_command("plan", "Say what a run will need, before it starts");
  auto options = std::make_shared<PlanOptions>();
  add_config_options(app, options->config);
  add_output_options(app, options->output);
  app.add_example("longstride plan --preset enwik8 --precision bfloat16");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
