// This adds the options that several commands share, and turns them into a configuration.
#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "signals.h"

namespace longstride::program {
namespace {

constexpr const char* kDevices = "auto|cpu|cuda";
constexpr std::int64_t kMostThreads = 4096;

bool sets_model(const std::string& assignment) { return assignment.starts_with("model."); }

Config with_data(Config config, const ConfigOptions& options) {
  if (!options.data.empty()) config.data.paths = options.data;
  return config;
}

// The small preset of what the data are: text-small, image-small or sound-small.
std::string default_preset(const ConfigOptions& options, const std::vector<std::string>& assignments) {
  return find_kind(with_data(read_config({}, {}, assignments), options).data, options.run) + "-small";
}

// So that what is wrong with --steps is said of --steps.
void check_alone(const char* key, const std::string& word) {
  nlohmann::json value = nlohmann::json::parse(word, nullptr, false);
  if (value.is_discarded()) value = word;
  read_config({nlohmann::json{{"training", {{key, value}}}}.dump()}, {fmt::format("--{}", key)}, {});
}

std::string preset_list() { return fmt::format("{}", fmt::join(preset_names(), ", ")); }

}  // namespace

void add_config_options(CommandLine app, ConfigOptions& options) {
  app.add_option("--data", options.data, "Files and folders to learn from").type_name("PATH");
  app.add_option(
         "--preset", options.preset,
         fmt::format("Where the configuration starts: {} (default, without --config or --set model...: text-small, "
                     "image-small or sound-small, as the data are)",
                     preset_list()))
      .type_name("PRESET");
  app.add_option("--config", options.config, "A configuration in JSON, over the preset").type_name("FILE");
  app.add_option("--set", options.sets, "Any key, over preset and file, e.g. model.width=512")
      .type_name("KEY=VALUE")
      .one_value_each_time();
  app.add_option("--steps", options.steps, "Steps in all (training.steps); 0 writes the initial weights")
      .type_name("N");
  app.add_option("--minutes", options.minutes, "Stop by the clock, the schedule stretched to it (training.minutes)")
      .type_name("M");
  app.add_option("--batch", options.batch, "Sequences a step (training.batch)").type_name("B");
  app.add_option("--seed", options.seed, "Of weights, data order and dropout (training.seed)").type_name("S");
  app.add_option("--precision", options.precision, "Of activations (training.precision)").type_name(kPrecisions);
  app.add_option("--threads", options.threads, "0: every core (training.threads)").type_name("N");
  app.add_option("--device", options.device, "What computes (training.device)").type_name(kDevices);
}

Config read_options(const ConfigOptions& options) {
  std::vector<std::string> assignments = options.sets;
  if (options.steps && options.minutes) {
    throw Error(ErrorKind::invalid_argument, "--steps and --minutes: a run ends by one of them, got both");
  }
  const auto assign = [&](const char* key, const auto& value) {
    if (!value) return;
    check_alone(key, fmt::format("{}", *value));
    assignments.push_back(fmt::format("training.{}={}", key, *value));
  };
  if (options.steps) assignments.push_back("training.minutes=0");  // a preset may go by the clock
  assign("steps", options.steps);
  assign("minutes", options.minutes);
  assign("batch", options.batch);
  assign("seed", options.seed);
  assign("threads", options.threads);
  if (options.device) parse_device(*options.device);  // names the option where the word is none
  if (options.precision) parse_precision(*options.precision);
  assign("device", options.device);
  assign("precision", options.precision);
  std::vector<std::string> texts, sources;
  const bool own_model = !options.config.empty() || std::any_of(options.sets.begin(), options.sets.end(), sets_model);
  const std::string preset =
      options.preset.empty() && !own_model ? default_preset(options, assignments) : options.preset;
  if (!preset.empty()) {
    texts.push_back(preset_json(preset));
    sources.push_back("preset " + preset);
  }
  if (!options.config.empty()) {
    texts.push_back(read_text(options.config));
    sources.push_back(options.config);
  }
  return with_data(read_config(texts, sources, assignments), options);
}

std::vector<std::string> given_config_options(const ConfigOptions& options) {
  std::vector<std::string> given;
  const auto add = [&](bool is_given, const char* name) {
    if (is_given) given.emplace_back(name);
  };
  add(!options.data.empty(), "--data");
  add(!options.preset.empty(), "--preset");
  add(!options.config.empty(), "--config");
  add(!options.sets.empty(), "--set");
  add(options.steps.has_value(), "--steps");
  add(options.minutes.has_value(), "--minutes");
  add(options.batch.has_value(), "--batch");
  add(options.seed.has_value(), "--seed");
  add(options.precision.has_value(), "--precision");
  return given;
}

void add_output_options(CommandLine app, OutputOptions& options) {
  app.add_flag("--json", options.json, "One JSON object on standard output and nothing else there");
  app.add_flag("--quiet", options.quiet, "No progress and no messages on standard error");
}

void add_run_options(CommandLine app, RunOptions& options) {
  app.add_option("RUN", options.run, "A run directory, a checkpoint directory or a .safetensors file").required();
  app.add_option("--checkpoint", options.checkpoint, "Of a run directory")
      .type_name("best|latest|STEP")
      .capture_default_str();
}

void add_threads_option(CommandLine app, std::int64_t& threads) {
  app.add_option("--threads", threads, "0: every core").type_name("N");
}

void apply_threads(std::int64_t threads) {
  if (threads < 0 || threads > kMostThreads) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("--threads: needs a whole number in [0, {}] (0: every core), got {}", kMostThreads, threads));
  }
  set_threads(static_cast<int>(threads));
  if (std::getenv("OMP_WAIT_POLICY") == nullptr && std::getenv("GOMP_SPINCOUNT") == nullptr)
    without_signals([] { share_cores(); });
}

void add_device_option(CommandLine app, std::string& device) {
  app.add_option("--device", device, "What computes").type_name(kDevices).capture_default_str();
}

Device parse_device(const std::string& word) {
  if (word == "auto") return Device::automatic;
  if (word == "cpu") return Device::cpu;
  if (word == "cuda") return Device::cuda;
  throw_invalid(fmt::format("--device: needs auto, cpu or cuda, got \"{}\"", word));
}

Precision parse_precision(const std::string& word) {
  if (word == "auto") return Precision::automatic;
  if (word == "float32") return Precision::float32;
  if (word == "bfloat16") return Precision::bfloat16;
  throw Error(ErrorKind::invalid_argument,
              fmt::format("--precision: needs auto, float32 or bfloat16, got \"{}\"", word));
}

}  // namespace longstride::program
