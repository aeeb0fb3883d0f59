// sample() of longstride/sample.h and a Model's: from a checkpoint to sequences.
#include "longstride/sample.h"

#include <algorithm>

#include "longstride/model.h"
#include "model/held_model.h"
#include "sample/generate.h"

namespace longstride {
namespace {

// Caches of the sequences that are decoded side by side stay below this; where one is done the next joins.
constexpr std::int64_t kCacheBytes = std::int64_t{1} << 30;

std::int64_t side_by_side(const ModelConfig& model, std::int64_t length, DType type, std::int64_t count) {
  const std::int64_t bytes = CacheShape(model, {1, length, type}).bytes;
  return std::clamp<std::int64_t>(kCacheBytes / bytes, 1, std::min(count, kMostSequences));
}

}  // namespace

std::vector<std::vector<std::uint8_t>> Model::sample(const SampleOptions& options) {
  const ModelConfig& model = held_->model();
  check(options, model);
  const DType type = held_->type_of(options.precision);
  const std::int64_t length = engine_length(options, model);
  Engine engine(*held_->backend, model, {side_by_side(model, length, type, options.count), length, type},
                held_->weights(type));
  return sample_tokens(engine, options);
}

std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options) {
  return Model({options.run, options.checkpoint, options.device}).sample(options);
}

}  // namespace longstride
