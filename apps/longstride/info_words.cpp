// What info says of one run.
#include "info_words.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "output.h"
#include "words.h"

namespace longstride::program {
namespace {

std::string data_words(const CheckpointInfo& info) {
  std::string words = fmt::format("{}", fmt::join(info.config.data.paths, ", "));
  if (!info.data_sha256.empty())
    words += fmt::format(" ({}, sha256 {})", counted(info.data_bytes, "byte"), info.data_sha256.substr(0, 12));
  return words;
}

std::string training_words(const CheckpointInfo& info) {
  const TrainingConfig& training = info.config.training;
  std::string words =
      fmt::format("seed {}, {}", training.seed, training.precision == Precision::bfloat16 ? "bfloat16" : "float32");
  if (info.elapsed_s >= 0) words += fmt::format(", {}", duration_words(info.elapsed_s));
  if (info.tokens_per_s > 0) words += fmt::format(", {} tokens/s", rate_words(info.tokens_per_s));
  return words;
}

}  // namespace

nlohmann::ordered_json run_json(const NamedRun& run) {
  const CheckpointInfo& info = run.info;
  nlohmann::ordered_json json;
  json["run"] = run.name;
  json["checkpoint"] = info.path;
  json["config"] = nlohmann::ordered_json::parse(write_config(info.config));
  json["step"] = info.step;
  json["parameters"] = info.parameters;
  json["valid_bits"] = known(info.valid_bits);
  json["best_bits"] = known(info.best_bits);
  json["elapsed_s"] = known(info.elapsed_s);
  json["tokens_per_s"] = known(info.tokens_per_s);
  json["checkpoints"] = run.checkpoints;
  json["missing_best"] = nullptr;
  if (run.missing_best) json["missing_best"] = *run.missing_best;
  json["trained_by"] = origin_json(info.origin);
  json["data_bytes"] = info.data_sha256.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(info.data_bytes);
  json["data_sha256"] = info.data_sha256.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(info.data_sha256);
  json["tensors"] = nlohmann::ordered_json::object();
  for (const auto& [name, shape] : info.tensors) json["tensors"][name] = shape;
  return json;
}

std::string run_words(const NamedRun& run) {
  const CheckpointInfo& info = run.info;
  const Config& config = info.config;
  std::vector<std::pair<std::string, std::string>> rows = {
      {"checkpoint", info.path},
      {"step", with_commas(info.step)},
      {"model", model_words(config.model)},
      {"attention", attention_words(config.model)},
      {"parameters",
       fmt::format("{} in {}", with_commas(info.parameters), counted(std::ssize(info.tensors), "tensor"))},
      {"data", data_words(info)},
      {"training", training_words(info)}};
  if (!config.training.init.empty())
    rows.emplace_back("begun with", fmt::format("the weights of {} (sha256 {})", config.training.init,
                                                config.training.init_sha256.substr(0, 12)));
  if (run.missing_best)
    rows.emplace_back("best", fmt::format("step {}, whose checkpoint is missing", with_commas(*run.missing_best)));
  rows.emplace_back("trained by", info.origin ? origin_words(*info.origin) : "not said");
  rows.emplace_back("validation", info.valid_bits < 0 ? "none up to this step"
                                                      : fmt::format("{:.4f} bits per {}, the last up to this step",
                                                                    info.valid_bits, bits_unit(config.data)));
  return two_columns(rows);
}

}  // namespace longstride::program
