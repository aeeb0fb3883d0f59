// sample() of longstride/sample.h and a Model's: from a checkpoint to sequences.
#include "longstride/sample.h"

#include <algorithm>

#include "longstride/checkpoint.h"
#include "longstride/model.h"
#include "model/held_model.h"
#include "parallel/agreement.h"
#include "sample/generate.h"

namespace longstride {
namespace {

// Caches of the sequences that are decoded side by side stay below this; where one is done the next joins.
constexpr std::int64_t kCacheBytes = std::int64_t{1} << 30;

std::int64_t side_by_side(const ModelConfig& model, std::int64_t length, DType type, std::int64_t count) {
  const std::int64_t bytes = CacheShape(model, {1, length, type}).bytes;
  return std::clamp<std::int64_t>(kCacheBytes / bytes, 1, std::min(count, kMostSequences));
}

// Before any sequence is made; a process that makes none knows of no other checkpoint than the first one's.
void require_same_checkpoint(World& world, const std::string* sha256) {
  if (world.size() == 1) return;
  const std::string of_first = shared_text(world, sha256 != nullptr ? *sha256 : "");
  require_same(world, "sample: the checkpoint", sha256 != nullptr ? *sha256 : of_first);
}

}  // namespace

std::vector<std::vector<std::uint8_t>> Model::sample(const SampleOptions& options) {
  const ModelConfig& model = held_->model();
  check(options, model);
  World& world = world_or_one(options.world);
  if (world.size() > 1) require_same_checkpoint(world, &held_->sha256());
  Sharing sharing(options, world);
  sharing.begin_together();
  Sequences mine;
  if (const std::int64_t count = sharing.end() - sharing.begin(); count > 0) {
    const PrecisionChoice precision = held_->choice_of(options.precision);
    if (options.precision == Precision::automatic && options.noted) options.noted(precision_words(precision));
    const DType type = type_of(precision.precision);
    const std::int64_t length = engine_length(options, model);
    Engine engine(*held_->backend, model, {side_by_side(model, length, type, count), length, type},
                  held_->weights(type));
    mine = sample_tokens(engine, options, sharing);
  }
  return sharing.gather(std::move(mine));
}

std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options) {
  World& world = world_or_one(options.world);
  if (world.size() == 1) return Model({options.run, options.checkpoint, options.device}).sample(options);
  const Device device = device_among(world, options.device);
  const bool first = world.rank() == 0;
  const std::string path = shared_text(world, first ? find_checkpoint(options.run, options.checkpoint) : "");
  Sharing sharing(options, world);
  if (first || sharing.begin() < sharing.end()) return Model({path, "best", device}).sample(options);
  require_same_checkpoint(world, nullptr);
  sharing.begin_together();
  return sharing.gather({});
}

}  // namespace longstride
