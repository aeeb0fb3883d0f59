// longstride info RUN: what a run or a checkpoint is.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "longstride/checkpoint.h"
#include "options.h"
#include "output.h"
#include "words.h"

namespace longstride::program {
namespace {

struct InfoOptions {
  RunOptions run;
  OutputOptions output;
};

nlohmann::ordered_json to_json(const CheckpointInfo& info) {
  nlohmann::ordered_json json;
  json["checkpoint"] = info.path;
  json["config"] = nlohmann::ordered_json::parse(write_config(info.config));
  json["step"] = info.step;
  json["parameters"] = info.parameters;
  json["trained_by"] = origin_json(info.origin);
  json["valid_bits"] = info.valid_bits < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(info.valid_bits);
  json["data_bytes"] = info.data_sha256.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(info.data_bytes);
  json["data_sha256"] = info.data_sha256.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(info.data_sha256);
  json["tensors"] = nlohmann::ordered_json::object();
  for (const auto& [name, shape] : info.tensors) json["tensors"][name] = shape;
  return json;
}

std::string data_words(const CheckpointInfo& info) {
  std::string words = fmt::format("{}", fmt::join(info.config.data.paths, ", "));
  if (!info.data_sha256.empty())
    words += fmt::format(" ({} bytes, sha256 {})", with_commas(info.data_bytes), info.data_sha256.substr(0, 12));
  return words;
}

std::string to_words(const CheckpointInfo& info) {
  const Config& config = info.config;
  std::vector<std::pair<std::string, std::string>> rows = {
      {"checkpoint", info.path},
      {"step", with_commas(info.step)},
      {"model", model_words(config.model)},
      {"attention", attention_words(config.model)},
      {"parameters", fmt::format("{} in {} tensors", with_commas(info.parameters), info.tensors.size())},
      {"data", data_words(info)},
      {"training", fmt::format("seed {}, {}", config.training.seed,
                               config.training.precision == Precision::bfloat16 ? "bfloat16" : "float32")},
      {"trained by", info.origin ? origin_words(*info.origin) : "not said"}};
  rows.emplace_back("validation", info.valid_bits < 0
                                      ? "none up to this step"
                                      : fmt::format("{:.4f} bits per byte, the last up to this step", info.valid_bits));
  return two_columns(rows);
}

int run(const InfoOptions& options) {
  const CheckpointInfo info = describe_checkpoint(options.run.run, options.run.checkpoint);
  if (options.output.json) {
    print_json(to_json(info));
  } else {
    print_words(to_words(info));
  }
  return 0;
}

}  // namespace

Command info_command(CommandLine program) {
  CommandLine app = program.add_command("info", "Say what a run or a checkpoint is");
  auto options = std::make_shared<InfoOptions>();
  add_run_options(app, options->run);
  add_output_options(app, options->output);
  app.add_example("longstride info runs/first --json");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
