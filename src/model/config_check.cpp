// What a configuration must satisfy beyond the range of each key.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"
#include "model/config_fields.h"
#include "ops/ops.h"

namespace longstride {
namespace {

void check_ranges(const Config& config, std::string_view section) {
  Config scratch;
  for (const ConfigField& field : config_fields()) {
    if (!field.key.starts_with(section)) continue;
    const nlohmann::json value = field.write(config);
    try {
      field.read(scratch, value);
    } catch (const std::string& needs) {
      throw_invalid(fmt::format("{}: needs {}, got {}", field.key, needs, value_words(value)));
    }
  }
}

// factor x width as a whole number, or -1 where it is none.
std::int64_t whole_product(double factor, std::int64_t width) {
  const double product = factor * static_cast<double>(width);
  const double rounded = std::round(product);
  // A factor such as 1/3 is not exact: a product within its rounding of a whole number is that number.
  const bool whole = rounded >= 1 && std::abs(product - rounded) <= 1e-9 * rounded;
  return whole ? static_cast<std::int64_t>(rounded) : -1;
}

// The fewest that divide a width into heads of no more channels than attention takes.
std::int64_t least_heads(std::int64_t width) {
  std::int64_t heads = (width + kMaxHeadChannels - 1) / kMaxHeadChannels;
  while (width % heads != 0) ++heads;
  return heads;
}

void check_widths(const ModelConfig& model) {
  if (model.width % model.heads != 0) {
    throw_invalid(
        fmt::format("model.heads: must divide model.width, got {} heads for width {}", model.heads, model.width));
  }
  if (whole_product(model.feedforward, model.width) < 1) {
    throw_invalid(fmt::format("model.feedforward: times model.width must be a whole number, got {} x {} = {}",
                              model.feedforward, model.width, model.feedforward * static_cast<double>(model.width)));
  }
  const std::int64_t query_width = whole_product(model.query_key, model.width);
  if (query_width < 1 || query_width % model.heads != 0) {
    throw_invalid(fmt::format(
        "model.query_key: times model.width must be a multiple of model.heads, got {} x {} = {} for {} heads",
        model.query_key, model.width, model.query_key * static_cast<double>(model.width), model.heads));
  }
  if (model.width / model.heads > kMaxHeadChannels) {
    throw_invalid(
        fmt::format("model.heads: a head has model.width over model.heads channels, at most {}; got {} / {} = {}, "
                    "where at least {} heads are needed",
                    kMaxHeadChannels, model.width, model.heads, model.width / model.heads, least_heads(model.width)));
  }
  if (query_width / model.heads > kMaxHeadChannels) {
    throw_invalid(
        fmt::format("model.query_key: queries of a head have it times model.width over model.heads channels, at most "
                    "{}; got {} x {} / {} = {}",
                    kMaxHeadChannels, model.query_key, model.width, model.heads, query_width / model.heads));
  }
}

void check_positions(const ModelConfig& model) {
  std::int64_t product = 1;  // stops growing once it is enough, so that it cannot overflow: both factors <= 2^30
  for (const std::int64_t extent : model.positions) {
    if (product < model.context) product *= extent;
  }
  if (product < model.context) {
    throw_invalid(
        fmt::format("model.positions: the product of the extents must be at least model.context, got {} = {} for a "
                    "context of {}",
                    fmt::join(model.positions, " x "), product, model.context));
  }
  constexpr double kMostProduct = 0x1p62;  // what a position is divided by is a product of extents, in 64 bits
  double all = 1;
  for (const std::int64_t extent : model.positions) all *= static_cast<double>(extent);
  if (all > kMostProduct)
    throw_invalid(fmt::format("model.positions: the product of the extents must be at most 2^62, got {}",
                              fmt::join(model.positions, " x ")));
}

void check_hashes(const ModelConfig& model) {
  const auto& orders = model.hash_orders;
  if (std::adjacent_find(orders.begin(), orders.end(), std::greater_equal<>()) != orders.end())
    throw_invalid(fmt::format("model.hash_orders: must rise, got [{}]", fmt::join(orders, ", ")));
}

// Parts that parse_pattern made are sound; a layout may also have been put together by a program.
void check_attention(const AttentionLayout& attention) {
  constexpr std::int64_t kMostLength = std::int64_t{1} << 40;
  for (const std::vector<Pattern>& heads : attention.blocks) {
    for (const Pattern& pattern : heads) {
      if (pattern.parts.empty()) throw_invalid("model.attention: a pattern has no parts");
      for (const Part& part : pattern.parts) {
        if (part.primitive != Primitive::dense && (part.length < 1 || part.length > kMostLength)) {
          throw_invalid(fmt::format("model.attention: the lengths in \"{}\" must be in [1, 2^40], got {}",
                                    to_string(pattern), part.length));
        }
      }
    }
  }
}

}  // namespace

std::int64_t ModelConfig::hidden_width() const { return std::llround(feedforward * static_cast<double>(width)); }

std::int64_t ModelConfig::query_width() const { return std::llround(query_key * static_cast<double>(width)); }

void check(const ModelConfig& model) {
  Config config;
  config.model = model;
  if (model.attention.blocks.empty() || std::any_of(model.attention.blocks.begin(), model.attention.blocks.end(),
                                                    [](const auto& heads) { return heads.empty(); })) {
    throw_invalid("model.attention: needs a pattern for every block, got an empty list");
  }
  check_attention(model.attention);
  check_ranges(config, "model.");
  check_widths(model);
  check_positions(model);
  check_hashes(model);
}

namespace {

// Of what no machine holds nothing is planned: the plan counts bytes in 64 bits, and what is planned takes memory
// itself.
void check_size(const Config& config) {
  const ModelConfig& model = config.model;
  const auto layers = static_cast<double>(model.layers), batch = static_cast<double>(config.training.batch);
  const double rows = batch * static_cast<double>(model.context);
  const double widest = static_cast<double>(std::max({model.width, model.hidden_width(), model.query_width()}));
  // A few dozen buffers of these elements at 4 bytes stay below 2^63.
  if (layers * rows * widest > 0x1p54) {
    throw_invalid(fmt::format(
        "training.batch, model.context, model.layers and model.width: {} x {} tokens through {} of width {} "
        "are more than any machine holds; smaller numbers are needed",
        config.training.batch, model.context, counted(model.layers, "layer"), model.width));
  }
  // A head of a window takes some 300 bytes of a plan, 16,384 rows with their operations 40 times that: 2.5 GB in all.
  constexpr double kRowsTogether = 16384, kHeadsOfRows = 40, kMostHeads = 1 << 23;
  if (layers * (batch * static_cast<double>(model.heads) + rows / kRowsTogether * kHeadsOfRows) > kMostHeads) {
    throw_invalid(fmt::format(
        "training.batch, model.context, model.layers and model.heads: {} x {} tokens through {} of {} are more than "
        "can be planned; smaller numbers are needed",
        config.training.batch, model.context, counted(model.layers, "layer"), counted(model.heads, "head")));
  }
}

void check_lanes(const TrainingConfig& training) {
  if (!std::has_single_bit(static_cast<std::uint64_t>(training.lanes)))
    throw_invalid(fmt::format("training.lanes: needs a power of two, got {}", training.lanes));
  if (training.accumulate % training.lanes != 0)
    throw_invalid(fmt::format("training.lanes: needs to divide training.accumulate, got {} lanes of {} micro-batches",
                              training.lanes, training.accumulate));
}

void check_patience(const TrainingConfig& training) {
  if (training.patience > 0 && training.validate_minutes <= 0)
    throw_invalid(fmt::format(
        "training.patience: counts validations, and training.validate_minutes is 0: none is made; needs 0, got {}",
        training.patience));
}

}  // namespace

void check(const Config& config) {
  check(config.model);
  check_ranges(config, "data.");
  check_ranges(config, "training.");
  check_lanes(config.training);
  check_patience(config.training);
  check_size(config);
}

}  // namespace longstride
