// Hash embeddings: a table of vectors for the last g tokens together, one for each order g, added to a position's
// embedding. They give a model what n-grams know from its first steps on. Ours.
#pragma once

#include <cstdint>

#include "longstride/config.h"

namespace longstride {

// Row of `count` tokens, oldest first, in a table of `buckets` rows. In unsigned 64-bit arithmetic:
//   h = 0; for each token x: h = (h xor (x + 1)) * 0x9E3779B97F4A7C15;  row = (h >> 32) mod buckets
// The multiplier is 2^64 over the golden ratio (Knuth's); the high half is the mixed one.
std::int32_t hash_bucket(const std::int32_t* tokens, std::int64_t count, std::int64_t buckets);

// rows[g * stride] for each of model.hash_orders: the bucket of that many tokens that end before `end`; -1 where the
// sequence has fewer, `known` of them, before it.
void hash_rows(const ModelConfig& model, const std::int32_t* end, std::int64_t known, std::int32_t* rows,
               std::int64_t stride);

}  // namespace longstride
