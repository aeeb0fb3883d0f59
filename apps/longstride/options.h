// Options that several commands share: the configuration of a run, precision, threads, output.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"

namespace longstride::program {

// A run's configuration as the command line gives it. Precedence: preset or --init < file < --set < flags.
struct ConfigOptions {
  std::string preset;
  std::string config;
  std::string init;  // a run or a checkpoint: its weights to begin with, its model and its ways to begin from
  std::vector<std::string> sets;
  std::vector<std::string> data;
  std::string run;  // the folder that is trained into, whose files are no data
  // Short forms of keys (options.cpp has their table).
  std::optional<std::int64_t> steps, batch, seed, threads, context, layers, width;
  std::optional<double> minutes, learning_rate;
  std::optional<std::string> device, precision, attention;
};

void add_config_options(CommandLine app, ConfigOptions& options);

// The configuration that they describe; with neither preset nor file, the small preset of what the data are.
// begun_with: gets what lies below the keys that were given, in words.
Config read_options(const ConfigOptions& options, std::string* begun_with = nullptr);

// Names of the given options that say something about the configuration, e.g. "--preset"; --threads aside.
std::vector<std::string> given_config_options(const ConfigOptions& options);

// How a command tells its results.
struct OutputOptions {
  bool json = false;
  bool quiet = false;
};
void add_output_options(CommandLine app, OutputOptions& options);

// RUN and --checkpoint.
struct RunOptions {
  std::string run;
  std::optional<std::string> checkpoint;
};
void add_run_options(CommandLine app, RunOptions& options);

// What --checkpoint says, or best where it says nothing. Where the run's best checkpoint is missing: Error corrupt_data
// if it was asked for, else `note` hears it and another takes its place.
std::string chosen_checkpoint(const RunOptions& options, const std::function<void(const std::string& sentence)>& note);

// What --precision takes, as help shows it.
inline constexpr const char* kPrecisions = "auto|float32|bfloat16";

// --threads; apply_threads sets them (0: every core), and lets them give way to other programs (share_cores).
void add_threads_option(CommandLine app, std::int64_t& threads);
void apply_threads(std::int64_t threads);

// "; the nearest is test", where one of the known words was likely meant; else empty.
std::string nearest_words(const std::string& word, const std::vector<std::string>& known);

// "auto", "float32" or "bfloat16"; Error invalid_argument naming --precision.
Precision parse_precision(const std::string& word);
// --device, and what it says: auto, cpu, cuda or cuda:K.
void add_device_option(CommandLine app, std::string& device);
Device parse_device(const std::string& word);

}  // namespace longstride::program
