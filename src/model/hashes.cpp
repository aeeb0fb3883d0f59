// This computes which row of a hash table the last few tokens have.
#include "model/hashes.h"

namespace longstride {

std::int32_t hash_bucket(const std::int32_t* tokens, std::int64_t count, std::int64_t buckets) {
  std::uint64_t h = 0;
  for (std::int64_t i = 0; i < count; ++i) h = (h ^ static_cast<std::uint64_t>(tokens[i] + 1)) * 0x9E3779B97F4A7C15u;
  return static_cast<std::int32_t>((h >> 32) % static_cast<std::uint64_t>(buckets));
}

void hash_rows(const ModelConfig& model, const std::int32_t* end, std::int64_t known, std::int32_t* rows,
               std::int64_t stride) {
  for (const std::int64_t order : model.hash_orders) {
    *rows = order <= known ? hash_bucket(end - order, order, model.hash_buckets) : -1;
    rows += stride;
  }
}

}  // namespace longstride
