// This sums the cache layouts of a model's heads.
#include "model/cache_shape.h"

#include <algorithm>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {
namespace {

// Adds the pattern where it is not there yet.
std::int64_t index_of(std::vector<Pattern>& patterns, const Pattern& pattern) {
  const std::int64_t index = std::find(patterns.begin(), patterns.end(), pattern) - patterns.begin();
  if (index == static_cast<std::int64_t>(patterns.size())) patterns.push_back(pattern);
  return index;
}

void check_shape(const ModelConfig& model, const EngineShape& shape) {
  check(model);
  if (shape.sequences < 1 || shape.sequences > kMostSequences) {
    throw_invalid(fmt::format("engine: needs 1 to {} sequences, got {}", kMostSequences, shape.sequences));
  }
  if (shape.length < 1 || shape.length > model.context) {
    throw_invalid(fmt::format("engine: needs a length of 1 to {} positions, got {} (the model's context is {})",
                              model.context, shape.length, model.context));
  }
}

}  // namespace

CacheShape::CacheShape(const ModelConfig& model, const EngineShape& shape) {
  check_shape(model, shape);
  const auto cycle = std::min(static_cast<std::int64_t>(model.attention.blocks.size()), model.layers);
  for (std::int64_t block = 0; block < cycle; ++block) {
    std::vector<std::int32_t>& group_of = groups.emplace_back();
    std::int64_t total = 0;
    for (std::int64_t head = 0; head < model.heads; ++head) {
      const std::int64_t index = index_of(patterns, model.attention.head(block, head));
      if (index == static_cast<std::int64_t>(layouts.size())) layouts.emplace_back(patterns.back(), shape.length);
      group_of.push_back(static_cast<std::int32_t>(index));
      total += layouts[static_cast<std::size_t>(index)].slots();
    }
    slots.push_back(
        std::max<std::int64_t>(1, total));  // where no query reads a key there is a store that nothing names
  }
  for (const Pattern& pattern : patterns) {
    most_writes += static_cast<std::int64_t>(pattern.parts.size()) + 1;  // a ring and one store for each other part
    most_reads += max_keys(pattern, shape.length);
  }
  most_reads = std::max<std::int64_t>(1, most_reads);
  for (std::int64_t block = 0; block < model.layers; ++block)
    bytes += shape.sequences * slots_of(block) * (model.query_head() + model.value_head()) * size_of(shape.type);
}

}  // namespace longstride
