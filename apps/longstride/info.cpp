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
  json["config"] = nlohmann::ordered_json::parse(write_config(info.config));
  json["step"] = info.step;
  json["parameters"] = info.parameters;
  json["tensors"] = nlohmann::ordered_json::object();
  for (const auto& [name, shape] : info.tensors) json["tensors"][name] = shape;
  return json;
}

std::string to_words(const CheckpointInfo& info) {
  const Config& config = info.config;
  std::vector<std::pair<std::string, std::string>> rows = {
      {"checkpoint", info.path},
      {"step", with_commas(info.step)},
      {"model", model_words(config.model)},
      {"attention", attention_words(config.model)},
      {"parameters", fmt::format("{} in {} tensors", with_commas(info.parameters), info.tensors.size())},
      {"data", fmt::format("{}", fmt::join(config.data.paths, ", "))}};
  rows.emplace_back("validation", info.valid_bits < 0
                                      ? "none up to this step"
                                      : fmt::format("{:.4f} bits per byte, the last up to this step", info.valid_bits));
  return two_columns(rows);
}

int run(const InfoOptions& options) {
  const CheckpointInfo info = describe_checkpoint(find_checkpoint(options.run.run, options.run.checkpoint));
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
