// evaluate() of longstride/evaluate.h: checkpoint and data in, a figure with its protocol out.
#include "longstride/evaluate.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/dataset.h"
#include "evaluate/protocol.h"
#include "io/file.h"
#include "io/sha256.h"
#include "io/words.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "ops/backend.h"

namespace longstride {
namespace {

// What was asked for; else what the run trained with; else what the machine multiplies natively.
DType resolve(const Backend& backend, Precision asked, Precision trained) {
  const Precision wanted = asked == Precision::automatic ? trained : asked;
  if (wanted == Precision::automatic) return backend.facts().bfloat16 ? DType::bfloat16 : DType::float32;
  return wanted == Precision::bfloat16 ? DType::bfloat16 : DType::float32;
}

// Beside the run that the checkpoint is of; a file that belongs to none has it beside itself.
std::string cache_folder(const std::string& checkpoint) {
  const std::filesystem::path file = std::filesystem::absolute(checkpoint).lexically_normal();
  const std::filesystem::path run = file.parent_path().parent_path().parent_path();  // RUN/checkpoints/STEP/file
  const bool of_run = std::filesystem::exists(run / "config.json");
  return ((of_run ? run : file.parent_path()) / "cache").string();
}

// Pictures are scored whole, one window each.
void check_pictures(const EvaluateOptions& options, std::int64_t unit) {
  if (options.min_context != 0) {
    throw_invalid(
        fmt::format("--min-context: pictures are scored whole, one window each; needs 0, got {}", options.min_context));
  }
  for (const auto& [option, bytes] : {std::pair("--offset", options.offset), std::pair("--bytes", options.bytes)}) {
    if (bytes > 0 && bytes % unit != 0) {
      throw_invalid(fmt::format("{}: needs whole pictures, a multiple of {} bytes, got {}", option, unit, bytes));
    }
  }
}

void check_min_context(std::int64_t min_context, std::int64_t context) {
  if (min_context < 0 || min_context >= context) {
    throw_invalid(fmt::format("--min-context: needs a whole number in [0, {}], got {} (the model's context is {})",
                              context - 1, min_context, context));
  }
}

// The bytes of the split that offset and bytes leave.
ByteRange scored_range(const EvaluateOptions& options, const Dataset& data, Split split) {
  const ByteRange part = data.part(split);
  const std::string what = split == Split::all ? "the data" : fmt::format("the {} part", to_string(split));
  if (part.size() == 0)
    throw_invalid(fmt::format("--split: {} of {} is empty; give more data or another split", what, data.describe()));
  if (options.offset < 0 || options.offset >= part.size()) {
    throw_invalid(fmt::format("--offset: needs a whole number in [0, {}], got {} ({} has {} bytes)", part.size() - 1,
                              options.offset, what, with_commas(part.size())));
  }
  if (options.bytes == 0 || options.bytes < -1) {
    throw_invalid(fmt::format("--bytes: needs a whole number of at least 1, or -1 for all, got {}", options.bytes));
  }
  const std::int64_t begin = part.begin + options.offset, left = part.end - begin;
  return {begin, options.bytes < 0 ? part.end : begin + std::min(options.bytes, left)};
}

std::string describe(const EvaluateOptions& options, const Dataset& data, Split split) {
  std::string words = fmt::format("{} ({})", fmt::join(options.paths, ", "), data.describe());
  if (split != Split::all) words += fmt::format(", {} part", to_string(split));
  return words;
}

}  // namespace

Evaluation evaluate(const EvaluateOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  const Split split = parse_split(options.split);
  check_device(options.device);
  const std::string path = find_checkpoint(options.run, options.checkpoint);
  const Config config =
      read_checkpoint_metadata(SafetensorsFile(path)).config;  // before the weights: cheap errors first
  check_min_context(options.min_context, config.model.context);
  DataConfig data_config = config.data;  // the run's shares and kind: its test part stays its test part
  data_config.paths = options.paths;
  if (!options.cache.empty()) data_config.cache = options.cache;
  const Dataset data(data_config, {cache_folder(path), &config.model, options.stop, options.noted});
  if (data.unit() > 1) check_pictures(options, data.unit());
  const ByteRange range = scored_range(options, data, split);
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const DType type = resolve(*backend, options.precision, config.training.precision);
  const LoadedModel loaded = load_model(*backend, path, type);
  NetworkShape shape;
  shape.tokens = std::min(config.model.context, range.size());
  shape.batch = windows_at_once(count_windows(range.size(), shape.tokens, options.min_context), shape.tokens);
  shape.type = type;
  Network network(*backend, config.model, shape, loaded.weights());
  const Score score =
      score_range(network, data, range, options.min_context, options.progress, options.stop);

  Evaluation result;
  result.bits_per_byte = score.bits();
  result.standard_error = score.standard_error;
  result.tokens_scored = score.tokens;
  result.context = config.model.context;
  result.min_context = options.min_context;
  result.kind = data.kind();
  result.windows = score.windows;
  result.data = describe(options, data, split);
  result.data_sha256 = data.sha256({range.begin, range.begin + score.tokens});
  result.offset = options.offset;
  result.checkpoint = path;
  result.checkpoint_sha256 = sha256_hex(MappedFile(path).bytes());
  result.step = loaded.step;
  result.precision = type == DType::bfloat16 ? "bfloat16" : "float32";
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

}  // namespace longstride
