// longstride plan: what a run will need, before it starts.
#include "longstride/plan.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

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

nlohmann::ordered_json to_json(const Plan& plan) {
  nlohmann::ordered_json json;
  json["parameters"] = plan.parameters;
  json["parameters_by_part"] = nlohmann::ordered_json::object();
  for (const auto& [part, count] : plan.parameters_by_part) json["parameters_by_part"][part] = count;
  json["bytes"] = nlohmann::ordered_json::object();
  for (const auto& [part, bytes] : plan.bytes_by_part) json["bytes"][part] = bytes;
  json["bytes"]["total"] = plan.total_bytes;
  json["multiply_adds_per_step"] = plan.multiply_adds_per_step;
  json["fits"] = plan.fits;
  return json;
}

std::string to_words(const Config& config, const Plan& plan) {
  std::string text = fmt::format("{}, attention {}\n", model_words(config.model), attention_words(config.model));
  Rows rows;
  for (const auto& [part, count] : plan.parameters_by_part) rows.emplace_back(part, with_commas(count));
  rows.emplace_back("total", with_commas(plan.parameters));
  text += "\nparameters\n" + two_columns(rows);

  rows.clear();
  for (const auto& [part, bytes] : plan.bytes_by_part) rows.emplace_back(part, bytes_words(bytes));
  rows.emplace_back("total", bytes_words(plan.total_bytes));
  text += fmt::format("\nmemory ({}; {} recomputation)\n", precision_words(plan),
                      plan.recompute == Recompute::block ? "with" : "without");
  text += two_columns(rows);
  text += fmt::format("  activations and workspace: {} without recomputation, {} with\n",
                      bytes_words(plan.bytes_without_recomputation), bytes_words(plan.bytes_with_recomputation));

  text += fmt::format("\n{} multiply-adds a step of {} tokens\n", with_commas(plan.multiply_adds_per_step),
                      with_commas(config.training.batch * config.training.accumulate * config.model.context));
  text += fmt::format("{}: {} of memory are free{}\n", plan.fits ? "fits" : "does not fit",
                      bytes_words(plan.memory_available_bytes), plan.fits ? "" : "; " + plan.advice);
  return text;
}

int run(const PlanOptions& options) {
  const Config config = read_options(options.config);
  apply_threads(config.training.threads);  // the workspace grows with them
  const Plan plan = plan_training(config);
  if (options.output.json) {
    print_json(to_json(plan));
  } else {
    print_words(to_words(config, plan));
  }
  return 0;
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
