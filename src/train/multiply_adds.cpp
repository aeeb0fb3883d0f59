// This counts products: dense ones by their shapes, attention by the pairs of its patterns.
#include "train/multiply_adds.h"

#include <algorithm>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

void each_head(const ModelConfig& model, const std::function<void(const Pattern&, std::int64_t)>& visit) {
  const auto cycle = static_cast<std::int64_t>(model.attention.blocks.size());
  for (std::int64_t first = 0; first < std::min(cycle, model.layers); ++first) {
    const std::int64_t blocks = (model.layers - first + cycle - 1) / cycle;  // first, first + cycle, ...
    for (std::int64_t head = 0; head < model.heads; ++head) visit(model.attention.head(first, head), blocks);
  }
}

double forward_multiply_adds(const ModelConfig& model) {
  const auto number = [](std::int64_t count) { return static_cast<double>(count); };
  const double n = number(model.context), C = number(model.width), Cq = number(model.query_width()),
               F = number(model.hidden_width());
  double sum = n * (number(model.layers) * (C * (2 * Cq + C) + C * C + 2 * C * F) + number(model.vocabulary) * C);
  each_head(model, [&](const Pattern& pattern, std::int64_t blocks) {
    sum +=
        number(blocks) * number(count_pairs(pattern, model.context)) * number(model.query_head() + model.value_head());
  });
  return sum;
}

// The backward pass needs two products for each of the forward pass.
std::int64_t multiply_adds_per_step(const Config& config) {
  const double sum = 3 * forward_multiply_adds(config.model) * static_cast<double>(config.training.batch) *
                     static_cast<double>(config.training.accumulate);
  if (sum < 0x1p63) return static_cast<std::int64_t>(sum);
  throw_invalid(
      fmt::format("a step of {} x {} windows of {} tokens has {:.2g} multiply-adds, more than any "
                  "machine makes; smaller sizes are needed",
                  config.training.accumulate, config.training.batch, config.model.context, sum));
}

}  // namespace longstride
