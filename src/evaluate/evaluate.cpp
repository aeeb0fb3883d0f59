// evaluate() of longstride/evaluate.h and a Model's: checkpoint and data in, a figure with its protocol out.
#include "longstride/evaluate.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/dataset.h"
#include "data/files.h"
#include "data/foreign.h"
#include "evaluate/scored_tokens.h"
#include "evaluate/scoring_network.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/model.h"
#include "model/held_model.h"
#include "model/precision.h"
#include "parallel/agreement.h"

namespace longstride {
namespace {

// Beside the run that the checkpoint is of; a file that belongs to none has it beside itself.
std::string cache_folder(const std::string& checkpoint) {
  std::error_code ignored;
  const std::filesystem::path file = std::filesystem::weakly_canonical(checkpoint, ignored);
  const std::filesystem::path run = file.parent_path().parent_path().parent_path();  // RUN/checkpoints/STEP/file
  const bool of_run = std::filesystem::exists(run / "config.json", ignored);
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

// A model of bytes scores any; where their names say that they are pictures or sound, or their names or first bytes
// that they are packed or the like, and it did not learn from the same paths, that is hardly what was meant.
void note_media(const EvaluateOptions& options, const DataConfig& learned) {
  const std::vector<std::string>& known = learned.paths;
  const bool same = std::all_of(options.paths.begin(), options.paths.end(), [&](const std::string& path) {
    return std::find(known.begin(), known.end(), absolute_path(path)) != known.end();
  });
  if (same) return;
  std::vector<std::string> media = list_files(options.paths, {}, learned.unreadable).files;
  const auto what = [](const std::string& file) {
    return kind_by_name(file, false) == "text" ? foreign_words(file) : "no text by its name";
  };
  std::erase_if(media, [&](const std::string& file) { return !what(file); });
  if (media.empty()) return;
  const std::string others =
      media.size() == 1 ? "" : fmt::format(" (and {} more are no text)", with_commas(std::ssize(media) - 1));
  const std::string which = fmt::format("\"{}\" is {}{}", media.front(), *what(media.front()), others);
  options.noted(which + ", and the model has learned from text: bytes are scored as they lie");
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

using Clock = std::chrono::steady_clock;

// The options of a process that has others beside it: all have the same, and the first alone speaks.
EvaluateOptions begin_together(EvaluateOptions options) {
  World& world = world_or_one(options.world);
  require_same_options(world, "evaluate",
                       {{"--split", options.split},
                        {"--offset", fmt::format("{}", options.offset)},
                        {"--bytes", fmt::format("{}", options.bytes)},
                        {"--min-context", fmt::format("{}", options.min_context)},
                        {"--precision", to_string(options.precision)}});
  if (world.rank() == 0) return options;
  options.progress = {};
  options.noted = {};
  return options;
}

// The data that are to be scored: what can be wrong with them is said before weights are read.
struct ToScore {
  ToScore(const EvaluateOptions& options, const Config& config, const std::string& checkpoint)
      : split(parse_split(options.split)), data(open(options, config, checkpoint)) {
    if (data.kind() == "text" && options.noted) note_media(options, config.data);
    if (data.unit() > 1) check_pictures(options, data.unit());
    range = scored_range(options, data, split);
    World& world = world_or_one(options.world);
    if (world.size() > 1)
      require_same(world, "evaluate: the data", fmt::format("{} {} {}", range.begin, range.end, data.identity()));
    if (world.rank() == 0) data.require_vocabulary(range, config.model.vocabulary, options.stop);
  }

  static Dataset open(const EvaluateOptions& options, const Config& config, const std::string& checkpoint) {
    check_min_context(options.min_context, config.model.context);
    DataConfig of_data = config.data;  // the run's shares and kind: its test part stays its test part
    of_data.paths = options.paths;
    of_data.cache = options.cache;  // where to write is for the caller to say, not for a file
    std::optional<Dataset> data;
    in_turns(world_or_one(options.world), [&] {
      DatasetOptions opening;
      opening.cache = cache_folder(checkpoint);
      opening.model = &config.model;
      opening.stop = options.stop;
      opening.noted = options.noted;
      opening.other_cache = config.data.cache;
      data.emplace(of_data, opening);
    });
    return std::move(*data);
  }

  Split split;
  Dataset data;
  ByteRange range;
};

Evaluation scored(HeldModel& held, const EvaluateOptions& options, const ToScore& what, Clock::time_point started) {
  const ByteRange range = what.range;
  World& world = world_or_one(options.world);
  require_same(world, "evaluate: the checkpoint", held.sha256());
  const PrecisionChoice precision = held.choice_as_trained(options.precision);
  if (options.precision == Precision::automatic && options.noted) options.noted(precision_words(precision));
  const DType type = type_of(precision.precision);
  if (options.scored && world.size() > 1)
    throw_invalid("evaluate: what is told of single tokens is told by one process alone");
  std::vector<float> bits;
  const Score score =
      score_range(scoring_network(held, range.size(), options.min_context, type), what.data, range, options.min_context,
                  options.progress, options.stop, world, options.scored ? &bits : nullptr);
  if (options.scored && score.tokens == range.size()) tell_tokens(held, what.data, range, type, bits, options);
  Evaluation result;
  result.bits_per_byte = score.bits();
  result.standard_error = score.standard_error;
  result.tokens_scored = score.tokens;
  result.context = held.model().context;
  result.min_context = options.min_context;
  result.kind = what.data.kind();
  result.windows = score.windows;
  result.data = describe(options, what.data, what.split);
  result.data_sha256 =
      shared_text(world, world.rank() == 0 ? what.data.sha256({range.begin, range.begin + score.tokens}) : "");
  result.offset = options.offset;
  result.checkpoint = held.loaded.path;
  result.checkpoint_sha256 = held.sha256();
  result.step = held.loaded.step;
  result.precision = type == DType::bfloat16 ? "bfloat16" : "float32";
  result.origin = this_origin(held.backend->facts().device);
  result.trained_by = held.loaded.origin;
  result.split = to_string(what.split);
  result.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  result.interrupted = score.tokens < range.size();
  return result;
}

}  // namespace

Evaluation Model::evaluate(const EvaluateOptions& asked) {
  const Clock::time_point started = Clock::now();
  const EvaluateOptions options = begin_together(asked);
  return scored(*held_, options, ToScore(options, config(), path()), started);
}

Evaluation evaluate(const EvaluateOptions& asked) {
  const Clock::time_point started = Clock::now();
  const EvaluateOptions options = begin_together(asked);
  parse_split(options.split);
  World& world = world_or_one(options.world);
  const Device device = device_among(world, options.device);
  const auto score = [&](const std::string& path) {
    const ToScore what(options, checkpoint_config(path), path);
    HeldModel held(path, device);
    return scored(held, options, what, started);
  };
  if (world.size() == 1) return with_checkpoint(options.run, options.checkpoint, score);
  // The one that the first process finds: training that goes on may have made another one best by the next look.
  return score(shared_text(world, world.rank() == 0 ? find_checkpoint(options.run, options.checkpoint) : ""));
}

}  // namespace longstride
