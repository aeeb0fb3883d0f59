// sample() of longstride/sample.h: from a checkpoint to sequences.
#include "longstride/sample.h"

#include <algorithm>

#include "longstride/checkpoint.h"
#include "longstride/device.h"
#include "model/checkpoint.h"
#include "ops/backend.h"
#include "sample/generate.h"

namespace longstride {
namespace {

// Caches of the sequences that are decoded side by side stay below this; more are made one group after another.
constexpr std::int64_t kCacheBytes = std::int64_t{1} << 30;
// Beyond this many rows the products are no longer bound by reading weights: nothing is gained.
constexpr std::int64_t kMostSideBySide = 64;

DType type_of(Precision asked) {
  if (asked == Precision::automatic) return machine_info().bfloat16 ? DType::bfloat16 : DType::float32;
  return asked == Precision::bfloat16 ? DType::bfloat16 : DType::float32;
}

std::int64_t side_by_side(const ModelConfig& model, std::int64_t length, DType type, std::int64_t count) {
  const std::int64_t bytes = Decoder::bytes(model, {1, length, type});
  return std::clamp<std::int64_t>(kCacheBytes / bytes, 1, std::min(count, kMostSideBySide));
}

}  // namespace

std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options) {
  const std::string path = find_checkpoint(options.run, options.checkpoint);
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const DType type = type_of(options.precision);
  const LoadedModel loaded = load_model(*backend, path, type);
  const ModelConfig& model = loaded.config.model;
  check(options, model);
  const std::int64_t length = decoder_length(options, model);
  const std::int64_t group = side_by_side(model, length, type, options.count);
  std::vector<std::vector<std::uint8_t>> sequences;
  for (std::int64_t first = 0; first < options.count; first += group) {
    if (options.stop != nullptr && options.stop->load()) break;
    const std::int64_t many = std::min(group, options.count - first);
    Decoder decoder(*backend, model, {many, length, type});
    SampleOptions of_group = options;
    if (first > 0) of_group.noted = nullptr;  // what there is to say was said
    for (std::vector<std::uint8_t>& made : sample_tokens(decoder, loaded.weights(), of_group, first)) {
      sequences.push_back(std::move(made));
    }
  }
  return sequences;
}

}  // namespace longstride
