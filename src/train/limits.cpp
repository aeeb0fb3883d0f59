// Shapes of the samples made while training (train/limits.h).
#include "train/limits.h"

#include <algorithm>

namespace longstride {

EngineShape engine_shape(const Config& config, DType type) {
  const ModelConfig& model = config.model;
  if (config.data.kind == "image") {
    const std::int64_t bytes = CacheShape(model, {1, model.context, type}).bytes;
    return {std::clamp<std::int64_t>(kSampleCacheBytes / bytes, 1, kSamplePictures), model.context, type};
  }
  const std::int64_t most = config.data.kind == "sound" ? kSampleSeconds * config.data.sample_rate : kSampleBytes;
  return {1, std::min(model.context, most), type};
}

}  // namespace longstride
