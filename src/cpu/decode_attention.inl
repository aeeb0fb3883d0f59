// One query of one head against a chunk of the slots that it reads: scores of kLanes keys at a time, softmax in two
// passes, values; and the chunks of a head put together. Products of bfloat16 pairs are exact and their sums float32.
#include "cpu/typed.inl"

// The first rows of keys, and of values, are asked for before they are read; the processor sees itself what follows.
constexpr std::int64_t kRowsAhead = 48;

// Rows read[begin .. end) of those that are asked for.
LONGSTRIDE_INLINE void ask_for_rows(const void* rows, const std::int32_t* read, std::int64_t begin, std::int64_t end,
                                    std::int64_t count, std::int64_t bytes) {
  for (std::int64_t t = begin; t < end && t < count && t < kRowsAhead; ++t)
    for (std::int64_t at = 0; at < bytes; at += 64)
      __builtin_prefetch(static_cast<const char*>(rows) + read[t] * bytes + at, 0, 2);
}

LONGSTRIDE_INLINE F dot_words(const void* a, const void* b, std::int64_t d, std::int64_t D, F sum, bool bf16) {
  if (!bf16) {
    const int lanes = lanes_left(d, D);
    return fma(load_up_to(a, d, lanes, false), load_up_to(b, d, lanes, false), sum);
  }
  const auto* p = static_cast<const std::uint16_t*>(a) + d;
  const auto* q = static_cast<const std::uint16_t*>(b) + d;
  const std::int64_t left = D - d;
  if (left >= 2 * kLanes) return dot_pairs(as_pairs(load_bf16_neighbours(p)), as_pairs(load_bf16_neighbours(q)), sum);
  const int count = static_cast<int>(left);
  return dot_pairs(as_pairs(load_bf16_neighbours(p, count)), as_pairs(load_bf16_neighbours(q, count)), sum);
}

// Lanes: scale * q . key of slots read[t .. t + kLanes), the last slot again past the end.
LONGSTRIDE_INLINE F decode_scores(const DecodeChunk& chunk, std::int64_t t, bool bf16) {
  const std::int64_t key_bytes = chunk.Dq * (bf16 ? 2 : 4), step = bf16 ? 2 * kLanes : kLanes;
  F sums[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const std::int64_t at = t + i < chunk.count ? t + i : chunk.count - 1;
    const char* key = static_cast<const char*>(chunk.keys) + chunk.read[at] * key_bytes;
    sums[i] = zero();
    for (std::int64_t d = 0; d < chunk.Dq; d += step) sums[i] = dot_words(chunk.q, key, d, chunk.Dq, sums[i], bf16);
  }
  return mul(sum_each(sums), broadcast(chunk.scale));
}

// out[d .. d + Vectors * kLanes) = sum of weights * values.
template <int Vectors>
LONGSTRIDE_INLINE void decode_values(const DecodeChunk& chunk, std::int64_t d, bool bf16) {
  F total[Vectors];
  for (int v = 0; v < Vectors; ++v) total[v] = zero();
  for (std::int64_t t = 0; t < chunk.count; ++t) {
    const std::int64_t value = chunk.read[t] * chunk.Dv + d;
    const F weight = broadcast(chunk.weights[t]);
    for (int v = 0; v < Vectors; ++v) total[v] = fma(weight, load_at(chunk.values, value + v * kLanes, bf16), total[v]);
  }
  for (int v = 0; v < Vectors; ++v) store(chunk.part.out + d + v * kLanes, total[v]);
}

LONGSTRIDE_INLINE void decode_last_values(const DecodeChunk& chunk, std::int64_t d, bool bf16) {
  const int left = static_cast<int>(chunk.Dv - d);
  F total = zero();
  for (std::int64_t t = 0; t < chunk.count; ++t)
    total = fma(broadcast(chunk.weights[t]), load_partial_at(chunk.values, chunk.read[t] * chunk.Dv + d, left, bf16),
                total);
  store_partial(chunk.part.out + d, total, left);
}

// Times a score whose neighbours in float32 are 1 and more apart (2^23 in the exponent of 2) this is infinite, and NaN
// times 0: such scores tell nothing of which key is likely, and neither maxima nor powers of 2 pass NaN on.
constexpr float kPastAllScores = 0x1p105f;

LONGSTRIDE_INLINE void decode_chunk_of(const DecodeChunk& chunk, bool bf16) {
  const std::int64_t size = bf16 ? 2 : 4;
  F largest = broadcast(-INFINITY), spoilt = zero();
  for (std::int64_t t = 0; t < chunk.count; t += kLanes) {
    ask_for_rows(chunk.values, chunk.read, t, t + kLanes, chunk.count, chunk.Dv * size);
    const F scores = decode_scores(chunk, t, bf16);
    store(chunk.weights + t, scores);
    largest = max(scores, largest);
    spoilt = fma(mul(scores, broadcast(kPastAllScores)), zero(), spoilt);
  }
  const F maximum = broadcast(max_of(largest));
  F sums = zero();
  for (std::int64_t t = 0; t < chunk.count; t += kLanes) {
    F weights = exp2(sub(load(chunk.weights + t), maximum));
    const int left = static_cast<int>(chunk.count - t < kLanes ? chunk.count - t : kLanes);
    weights = select(~std::uint32_t{0} >> (32 - left), weights, zero());
    store(chunk.weights + t, weights);
    sums = add(sums, weights);
  }
  *chunk.part.maximum = max_of(largest);
  *chunk.part.sum = sum(add(sums, spoilt));
  if (chunk.next_keys != nullptr)
    ask_for_rows(chunk.next_keys, chunk.next_read, 0, kRowsAhead, chunk.next_count, chunk.Dq * size);
  std::int64_t d = 0;
  for (; chunk.Dv - d >= 8 * kLanes; d += 8 * kLanes) decode_values<8>(chunk, d, bf16);
  for (; chunk.Dv - d >= 4 * kLanes; d += 4 * kLanes) decode_values<4>(chunk, d, bf16);
  for (; chunk.Dv - d >= kLanes; d += kLanes) decode_values<1>(chunk, d, bf16);
  if (d < chunk.Dv) decode_last_values(chunk, d, bf16);
}
static void decode_chunk(const DecodeChunk& chunk) {
  if (chunk.bf16) {
    decode_chunk_of(chunk, true);
  } else {
    decode_chunk_of(chunk, false);
  }
}

// out = sum of factors[c] * out of chunk c, in ascending order of c.
static void join_chunks(const float* parts, std::int64_t stride, const float* factors, std::int64_t chunks, void* out,
                        bool bf16, std::int64_t Dv) {
  for (std::int64_t d = 0; d < Dv; d += kLanes) {
    const int lanes = lanes_left(d, Dv);
    F total = zero();
    for (std::int64_t c = 0; c < chunks; ++c)
      total = fma(broadcast(factors[c]), load_up_to(parts, c * stride + d, lanes, false), total);
    if (bf16) {
      store_up_to(out, d, total, lanes, true);
    } else {
      store_up_to(out, d, total, lanes, false);
    }
  }
}

static const DecodeKernels kDecodeKernels = {decode_chunk, join_chunks};
