// longstride plan: what a run will need, before it starts.
#include "longstride/plan.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "command.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::int64_t kMostProcesses = 65536;  // as many as lanes

struct PlanOptions {
  ConfigOptions config;
  OutputOptions output;
  std::optional<std::int64_t> processes;
  std::string link;
};

// What was asked for besides the plan: processes, and how they are joined.
struct Shared {
  std::int64_t processes = 1;
  Rates rates;  // where a link was named
  std::optional<Scaling> scaling;
};

using Rows = std::vector<std::pair<std::string, std::string>>;

// Bytes a second: "25Gbit", "400Gbit/s", "900GB".
double parse_link(const std::string& word) {
  double number = 0;
  const char* end = word.data() + word.size();
  const std::from_chars_result read = std::from_chars(word.data(), end, number);
  std::string unit(read.ptr, end);
  if (unit.ends_with("/s")) unit.resize(unit.size() - 2);
  for (const auto& [name, bytes] : {std::pair("Mbit", 1e6 / 8), {"Gbit", 1e9 / 8}, {"MB", 1e6}, {"GB", 1e9}})
    if (read.ec == std::errc() && number > 0 && number < 1e9 && unit == name) return number * bytes;
  throw_invalid(fmt::format("--link: needs a rate such as 25Gbit or 50GB (a second), got \"{}\"", word));
}

nlohmann::ordered_json to_json(const Shared& shared) {
  nlohmann::ordered_json json;
  json["link_bytes_per_s"] = shared.rates.link_bytes;
  json["multiply_adds_per_s"] = shared.rates.multiply_adds;
  json["memory_bytes_per_s"] = shared.rates.memory_bytes;
  json["step_s"] = shared.scaling->step_s;
  json["exchange_s"] = shared.scaling->exchange_s;
  json["efficiency"] = shared.scaling->efficiency;
  json["batches_for_90_percent"] = shared.scaling->batches_for_90;
  return json;
}

std::string to_words(const Shared& shared, const Plan& plan) {
  std::string text = fmt::format("\n{} processes: the memory is that of the first; it sends {} a step at most\n",
                                 shared.processes, bytes_words(plan.sent_bytes_per_step));
  if (!shared.scaling) return text;
  const Scaling& scaling = *shared.scaling;
  text += fmt::format(
      "  over {}/s each way, processes like this one: a step of {:.3g} s, of which {:.2g} s waiting; {:.1f} % of what "
      "as many "
      "would do alone\n  90 % and more from {} batches of a process a step on\n",
      bytes_words(static_cast<std::int64_t>(shared.rates.link_bytes)), scaling.step_s, scaling.exchange_s,
      100 * scaling.efficiency, scaling.batches_for_90);
  return text;
}

// What a run takes in time, as it is measured here and now; none where it does not fit, or cannot be told.
struct RunTime {
  double step_s = 0, run_s = 0;
};

std::optional<RunTime> run_time(const Config& config, const Plan& plan) {
  if (!plan.fits) return std::nullopt;
  const double step_s = measure_step(config, plan);
  if (step_s == 0) return std::nullopt;
  const bool by_clock = config.training.minutes > 0;
  return RunTime{step_s, by_clock ? 60 * config.training.minutes : step_s * static_cast<double>(config.training.steps)};
}

std::string time_words(const Config& config, const RunTime& time) {
  const bool by_clock = config.training.minutes > 0;
  const std::string steps = by_clock ? "about " + counted(std::llround(time.run_s / time.step_s), "step")
                                     : counted(config.training.steps, "step");
  const std::string step = time.step_s < 90 ? fmt::format("{:.3g} s", time.step_s) : duration_words(time.step_s);
  return fmt::format("{} a step, as measured now; {} for {}, validation and samples aside", step,
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
  if (plan.device != "cpu") {
    json["device"] = plan.device;
    json["device_name"] = plan.device_name;
    json["host_bytes"] = plan.host_bytes;
    json["host_memory_available_bytes"] = plan.host_available_bytes;
  }
  json["multiply_adds_per_step"] = plan.multiply_adds_per_step;
  json["fits"] = plan.fits;
  json["advice"] = plan.fits ? nlohmann::ordered_json() : nlohmann::ordered_json(plan.advice);
  json["step_s"] = time ? nlohmann::ordered_json(time->step_s) : nlohmann::ordered_json();
  json["run_s"] = time ? nlohmann::ordered_json(time->run_s) : nlohmann::ordered_json();
  return json;
}

std::string to_words(const Config& config, const Plan& plan, const std::optional<RunTime>& time,
                     const std::string& begun_with, bool alone) {
  std::string text = fmt::format("{}, attention {}\nsettings: {}\n", model_words(config.model),
                                 attention_words(config.model), begun_with);
  Rows rows;
  for (const auto& [part, count] : plan.parameters_by_part) rows.emplace_back(part, with_commas(count));
  rows.emplace_back("total", with_commas(plan.parameters));
  text += "\nparameters\n" + two_columns(rows);

  rows.clear();
  for (const auto& [part, bytes] : plan.bytes_by_part) rows.emplace_back(part_words(part), bytes_words(bytes));
  rows.emplace_back("total", bytes_words(plan.total_bytes));
  const bool on_card = plan.device != "cpu";
  text += fmt::format("\nmemory{} ({}; {} recomputation)\n", on_card ? " of " + plan.device_name : "",
                      precision_words(plan), plan.recompute == Recompute::block ? "with" : "without");
  text += two_columns(rows);
  text += fmt::format("  activations and workspace: {} without recomputation, {} with\n",
                      bytes_words(plan.bytes_without_recomputation), bytes_words(plan.bytes_with_recomputation));

  text += fmt::format("\n{} multiply-adds a step of {} tokens\n", with_commas(plan.multiply_adds_per_step),
                      with_commas(config.training.batch * config.training.accumulate * config.model.context));
  if (time) text += time_words(config, *time) + "\n";
  if (plan.fits && !time && alone)
    text += on_card ? "how long a step takes is not known before it is tried on the card\n"
                    : "how long a step takes is not known: memory is too short to measure it here\n";
  const std::string host = fmt::format(" on the card; {} of {} on the host", bytes_words(plan.host_bytes),
                                       bytes_words(plan.host_available_bytes));
  text +=
      fmt::format("{}: {} of memory are free{}{}\n", plan.fits ? "fits" : "does not fit",
                  bytes_words(plan.memory_available_bytes), on_card ? host : "", plan.fits ? "" : "; " + plan.advice);
  return text;
}

int run(const PlanOptions& options) {
  std::string begun_with;
  const Config config = read_options(options.config, &begun_with);
  apply_threads(config.training.threads);  // the workspace grows with them
  Shared shared;
  shared.processes = options.processes.value_or(1);
  if (shared.processes < 1 || shared.processes > kMostProcesses)
    throw_invalid(
        fmt::format("--processes: needs a whole number in [1, {}], got {}", kMostProcesses, shared.processes));
  const double link = options.link.empty() ? 0 : parse_link(options.link);
  if (link > 0 && shared.processes == 1)
    throw_invalid("--link: joins several processes; give --processes too, at least 2");
  check_start(config);
  const Plan plan = plan_training(config, static_cast<int>(shared.processes));
  if (link > 0) {
    shared.rates = measure_rates(plan.precision);
    shared.rates.link_bytes = link;
    shared.scaling = predict_scaling(config, static_cast<int>(shared.processes), shared.rates);
  }
  const std::optional<RunTime> time = shared.processes == 1 ? run_time(config, plan) : std::nullopt;
  if (options.output.json) {
    nlohmann::ordered_json json = to_json(plan, time);
    if (options.processes) json["processes"] = shared.processes;
    if (options.processes) json["sent_bytes_per_step"] = plan.sent_bytes_per_step;
    if (shared.scaling) json["scaling"] = to_json(shared);
    print_json(json);
  } else {
    const bool asked = options.processes || shared.scaling;
    print_words(to_words(config, plan, time, begun_with, shared.processes == 1) +
                (asked ? to_words(shared, plan) : ""));
  }
  return plan.fits ? 0 : 1;
}

}  // namespace

Command plan_command(CommandLine program) {
  CommandLine app = program.add_command("plan", "Say what a run will need, before it starts");
  auto options = std::make_shared<PlanOptions>();
  add_config_options(app, options->config);
  app.add_option("--processes", options->processes, "That train together: what the first one needs and sends")
      .type_name("P");
  app.add_option("--link", options->link,
                 "What a process sends in a second, such as 25Gbit: predicts how well they work together")
      .type_name("RATE");
  add_output_options(app, options->output);
  app.add_example(
      "longstride plan --preset enwik8 --precision bfloat16\n"
      "  longstride plan --preset enwik8 --set training.accumulate=16 --set training.lanes=16 --processes 16 "
      "--link 100Gbit");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
