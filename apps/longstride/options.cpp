// This adds the options that several commands share, and turns them into a configuration.
#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <variant>

#include "longstride/checkpoint.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "longstride/train.h"
#include "signals.h"

namespace longstride::program {
namespace {

constexpr const char* kDevices = "auto|cpu|cuda";
constexpr const char* kDevicePurpose = "What computes; cuda:K is card K, from 0 on";

// What is typed often has an option of its own, which is --set KEY=VALUE in other words: the only list of them.
struct ShortForm {
  const char *option, *key, *value, *purpose;
  std::variant<std::optional<std::int64_t> ConfigOptions::*, std::optional<double> ConfigOptions::*,
               std::optional<std::string> ConfigOptions::*>
      place;
  bool of_machine = false;  // nothing that a run is: how it is computed here
};

const std::vector<ShortForm>& short_forms() {
  using O = ConfigOptions;
  static const std::vector<ShortForm> forms = {
      {"--steps", "training.steps", "N", "Steps in all, --resume's too; 0 writes the initial weights", &O::steps},
      {"--minutes", "training.minutes", "M", "Stop by the clock, the schedule stretched to it; in all, --resume's too",
       &O::minutes},
      {"--batch", "training.batch", "B", "Sequences a step", &O::batch},
      {"--learning-rate", "training.learning_rate", "RATE", "At its highest, after warm-up", &O::learning_rate},
      {"--context", "model.context", "T", "Tokens that a model reads together", &O::context},
      {"--layers", "model.layers", "L", "Blocks of the model", &O::layers},
      {"--width", "model.width", "C", "Channels of the model", &O::width},
      {"--attention", "model.attention", "PATTERN", "A pattern, or a list as the key takes it", &O::attention},
      {"--seed", "training.seed", "S", "Of weights, data order and dropout", &O::seed},
      {"--precision", "training.precision", kPrecisions, "Of activations", &O::precision},
      {"--threads", "training.threads", "N", "0: every core", &O::threads, true},
      {"--device", "training.device", kDevices, kDevicePurpose, &O::device, true}};
  return forms;
}

// Assignments to keys, each with what it came from.
struct Assignments {
  struct Given {
    std::string key, words;  // "training.steps"; "--steps", "--set training.steps"
  };
  std::vector<std::string> texts, sources;
  std::vector<Given> given;

  void add(const std::string& text, const std::string& source) {
    texts.push_back(text);
    sources.push_back(source);
    for (const std::string& key : assigned_keys(text, source))
      given.push_back({key, source == "--set" ? source + " " + key : source});
  }
  // How a key was given, the last time; null: it was not.
  const Given* find(const std::string& key) const {
    const auto found = std::find_if(given.rbegin(), given.rend(), [&](const Given& one) { return one.key == key; });
    return found == given.rend() ? nullptr : &*found;
  }
  // The first of the model's keys that is given; empty: none is.
  std::string model_key() const {
    const auto found =
        std::find_if(given.begin(), given.end(), [](const Given& one) { return one.key.starts_with("model."); });
    return found == given.end() ? "" : found->key;
  }
};

Assignments assignments_of(const ConfigOptions& options) {
  Assignments all;
  for (const std::string& set : options.sets) all.add(set, "--set");
  for (const ShortForm& form : short_forms()) {
    const auto add = [&](const auto& place) {
      if (options.*place) all.add(fmt::format("{}={}", form.key, *(options.*place)), form.option);
    };
    std::visit(add, form.place);
  }
  return all;
}

Config with_data(Config config, const ConfigOptions& options) {
  if (!options.data.empty()) config.data.paths = options.data;
  return config;
}

// The small preset of what the data are: text-small, image-small or sound-small.
std::string default_preset(const ConfigOptions& options, const Assignments& given) {
  return find_kind(with_data(read_config({}, {}, given.texts, given.sources), options).data, options.run) + "-small";
}

std::string initial_json(const std::string& run) {
  try {
    return config_to_begin_with(run);
  } catch (const Error& error) {
    throw Error(error.kind(), std::string("--init: ") + error.what());
  }
}

// What the keys that were given lie over.
std::string begun_with_words(const ConfigOptions& options, const Assignments& given, const std::string& preset) {
  std::string words = preset.empty() ? "no preset" : "preset " + preset;
  if (!options.init.empty()) words = "the settings of " + options.init;
  const std::string key = given.model_key();
  if (!options.config.empty())
    return words + ", " + options.config + (preset.empty() ? " over the defaults" : " over it");
  if (preset.empty() && options.init.empty())
    return fmt::format("the defaults and no preset, as {} is given; --preset NAME takes one all the same", key);
  return options.preset.empty() && options.init.empty() ? words + ", as none is named" : words;
}

// Options that say the same thing twice, and differently.
void refuse_contradictions(const ConfigOptions& options, const Assignments& given, const Config& config) {
  const Assignments::Given *steps = given.find("training.steps"), *minutes = given.find("training.minutes");
  if (steps != nullptr && minutes != nullptr && config.training.minutes > 0 && (options.steps || options.minutes))
    throw_invalid(fmt::format("{} and {}: a run ends by one of them, got both", steps->words, minutes->words));
  const Assignments::Given* paths = given.find("data.paths");
  if (paths != nullptr && !options.data.empty())
    throw_invalid(fmt::format("--data and {}: one of them names the data, got both", paths->words));
}

std::string preset_list() { return fmt::format("{}", fmt::join(preset_names(), ", ")); }

}  // namespace

void add_config_options(CommandLine app, ConfigOptions& options) {
  app.add_option("--data", options.data, "Files and folders to learn from").type_name("PATH");
  app.add_option(
         "--preset", options.preset,
         fmt::format("Where the configuration starts: {} (default, where no other option says a key of the model: "
                     "text-small, image-small or sound-small, as the data are)",
                     preset_list()))
      .type_name("PRESET");
  app.add_option("--init", options.init,
                 "Begin with the weights of a run or a checkpoint, its model and its settings but steps of warm-up; "
                 "what changes tensors must stay, the context may be any that its positions hold (training.init)")
      .type_name("RUN");
  app.add_option("--config", options.config, "A configuration in JSON, over the preset").type_name("FILE");
  app.add_option("--set", options.sets, "Any key, over preset and file, e.g. model.width=512")
      .type_name("KEY=VALUE")
      .one_value_each_time();
  for (const ShortForm& form : short_forms()) {
    const std::string purpose = fmt::format("{} ({})", form.purpose, form.key);
    std::visit([&](const auto& place) { app.add_option(form.option, options.*place, purpose).type_name(form.value); },
               form.place);
  }
}

Config read_options(const ConfigOptions& options, std::string* begun_with) {
  if (options.minutes == 0)
    throw_invalid("--minutes: needs a number above 0, got 0; --steps 0 writes the initial weights");
  if (options.device) parse_device(*options.device);  // names the option where the word is none
  if (options.precision) parse_precision(*options.precision);
  const Assignments given = assignments_of(options);
  std::vector<std::string> texts, sources;
  const bool own_model = !options.config.empty() || !given.model_key().empty();
  const bool begun = !options.init.empty();
  if (begun && !options.preset.empty()) throw_invalid("--init and --preset: a model is one of theirs, got both");
  const std::string preset =
      options.preset.empty() && !own_model && !begun ? default_preset(options, given) : options.preset;
  if (begun) {
    texts.push_back(initial_json(options.init));
    sources.push_back("--init " + options.init);
  }
  if (!preset.empty()) {
    texts.push_back(preset_json(preset));
    sources.push_back("preset " + preset);
  }
  if (!options.config.empty()) {
    texts.push_back(read_text(options.config));
    sources.push_back(options.config);
  }
  if (begun_with != nullptr) *begun_with = begun_with_words(options, given, preset);
  const Config config = read_config(texts, sources, given.texts, given.sources);
  refuse_contradictions(options, given, config);
  return with_data(config, options);
}

std::vector<std::string> given_config_options(const ConfigOptions& options) {
  std::vector<std::string> given;
  const auto add = [&](bool is_given, const char* name) {
    if (is_given) given.emplace_back(name);
  };
  add(!options.data.empty(), "--data");
  add(!options.preset.empty(), "--preset");
  add(!options.config.empty(), "--config");
  add(!options.init.empty(), "--init");
  add(!options.sets.empty(), "--set");
  for (const ShortForm& form : short_forms())
    std::visit([&](const auto& place) { add((options.*place).has_value() && !form.of_machine, form.option); },
               form.place);
  return given;
}

void add_output_options(CommandLine app, OutputOptions& options) {
  app.add_flag("--json", options.json, "One JSON object on standard output and nothing else there");
  app.add_flag("--quiet", options.quiet, "No progress and no messages on standard error");
}

void add_run_options(CommandLine app, RunOptions& options) {
  app.add_option("RUN", options.run, "A run directory, a checkpoint directory or a .safetensors file").required();
  app.add_option("--checkpoint", options.checkpoint, "Of a run directory (default: best)")
      .type_name("best|latest|STEP");
}

std::string chosen_checkpoint(const RunOptions& options, const std::function<void(const std::string&)>& note) {
  const std::string which = options.checkpoint.value_or("best");
  const std::optional<std::int64_t> missing = which == "best" ? missing_best(options.run) : std::nullopt;
  if (!missing) return which;
  const std::string words =
      fmt::format("the best checkpoint of run \"{}\", that of step {}, is missing", options.run, *missing);
  if (options.checkpoint)
    throw Error(ErrorKind::corrupt_data,
                fmt::format("--checkpoint: {}; it has {}", words, fmt::join(checkpoint_steps(options.run), ", ")));
  note(fmt::format("{}; \"{}\" takes its place", words, find_checkpoint(options.run, which)));
  return which;
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
  app.add_option("--device", device, kDevicePurpose).type_name(kDevices).capture_default_str();
}

Device parse_device(const std::string& word) {
  if (const std::optional<Device> device = read_device(word)) return *device;
  throw_invalid(fmt::format("--device: needs auto, cpu, cuda or cuda:K, got \"{}\"{}", word,
                            nearest_words(word, {"auto", "cpu", "cuda"})));
}

std::string nearest_words(const std::string& word, const std::vector<std::string>& known) {
  const std::optional<std::string> likely = likely_word(word, known);
  return likely ? "; the nearest is " + *likely : "";
}

Precision parse_precision(const std::string& word) {
  if (word == "auto") return Precision::automatic;
  if (word == "float32") return Precision::float32;
  if (word == "bfloat16") return Precision::bfloat16;
  const bool short_name = word == "bf16" || word == "fp32" || word == "f32";
  const std::string meant = !short_name ? word : word == "bf16" ? "bfloat16" : "float32";
  throw_invalid(fmt::format("--precision: needs auto, float32 or bfloat16, got \"{}\"{}", word,
                            nearest_words(meant, {"auto", "float32", "bfloat16"})));
}

}  // namespace longstride::program
