// sample() of longstride/sample.h: from a checkpoint to sequences.
#include "longstride/sample.h"

#include <algorithm>

#include "longstride/checkpoint.h"
#include "model/checkpoint.h"
#include "ops/backend.h"
#include "sample/generate.h"

namespace longstride {
namespace {

// Caches of the sequences that are decoded side by side stay below this; where one is done the next joins.
constexpr std::int64_t kCacheBytes = std::int64_t{1} << 30;

DType type_of(const Backend& backend, Precision asked) {
  if (asked == Precision::automatic) return backend.facts().bfloat16 ? DType::bfloat16 : DType::float32;
  return asked == Precision::bfloat16 ? DType::bfloat16 : DType::float32;
}

std::int64_t side_by_side(const ModelConfig& model, std::int64_t length, DType type, std::int64_t count) {
  const std::int64_t bytes = CacheShape(model, {1, length, type}).bytes;
  return std::clamp<std::int64_t>(kCacheBytes / bytes, 1, std::min(count, kMostSequences));
}

}  // namespace

std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options) {
  const std::string path = find_checkpoint(options.run, options.checkpoint);
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const DType type = type_of(*backend, options.precision);
  const LoadedModel loaded = load_model(*backend, path, type);
  const ModelConfig& model = loaded.config.model;
  check(options, model);
  const std::int64_t length = engine_length(options, model);
  Engine engine(*backend, model, {side_by_side(model, length, type, options.count), length, type}, loaded.weights());
  return sample_tokens(engine, options);
}

}  // namespace longstride
