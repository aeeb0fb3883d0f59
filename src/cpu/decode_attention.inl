// One query of one head against the slots that it reads: scores of kLanes keys at a time, softmax in two passes,
// values.

// Lanes: scale * q . key of slots read[t .. t + kLanes), the last slot again past the end.
LONGSTRIDE_INLINE F decode_scores(const DecodeHead& head, std::int64_t t) {
  F sums[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const std::int64_t at = t + i < head.count ? t + i : head.count - 1;
    const float* key = head.keys + head.read[at] * head.Dq;
    sums[i] = zero();
    for (std::int64_t d = 0; d < head.Dq; d += kLanes) {
      const int left = static_cast<int>(head.Dq - d);
      sums[i] = left >= kLanes ? fma(load(head.q + d), load(key + d), sums[i])
                               : fma(load_partial(head.q + d, left), load_partial(key + d, left), sums[i]);
    }
  }
  transpose(sums);
  F total = sums[0];
  for (int i = 1; i < kLanes; ++i) total = add(total, sums[i]);
  return mul(total, broadcast(head.scale));
}

// out[d .. d + Vectors * kLanes) = factor * sum of weights * values.
template <int Vectors>
LONGSTRIDE_INLINE void decode_values(const DecodeHead& head, std::int64_t d, float factor) {
  F total[Vectors];
  for (int v = 0; v < Vectors; ++v) total[v] = zero();
  for (std::int64_t t = 0; t < head.count; ++t) {
    const float* value = head.values + head.read[t] * head.Dv + d;
    const F weight = broadcast(head.weights[t]);
    for (int v = 0; v < Vectors; ++v) total[v] = fma(weight, load(value + v * kLanes), total[v]);
  }
  for (int v = 0; v < Vectors; ++v) store(head.out + d + v * kLanes, mul(total[v], broadcast(factor)));
}

LONGSTRIDE_INLINE void decode_last_values(const DecodeHead& head, std::int64_t d, float factor) {
  const int left = static_cast<int>(head.Dv - d);
  F total = zero();
  for (std::int64_t t = 0; t < head.count; ++t)
    total = fma(broadcast(head.weights[t]), load_partial(head.values + head.read[t] * head.Dv + d, left), total);
  store_partial(head.out + d, mul(total, broadcast(factor)), left);
}

void decode_head(const DecodeHead& head) {
  F largest = broadcast(-INFINITY);
  for (std::int64_t t = 0; t < head.count; t += kLanes) {
    const F scores = decode_scores(head, t);
    store(head.weights + t, scores);
    largest = max(scores, largest);
  }
  const F maximum = broadcast(head.count > 0 ? max_of(largest) : 0);
  F sums = zero();
  for (std::int64_t t = 0; t < head.count; t += kLanes) {
    F weights = exp2(sub(load(head.weights + t), maximum));
    const int left = static_cast<int>(head.count - t < kLanes ? head.count - t : kLanes);
    weights = select(~std::uint32_t{0} >> (32 - left), weights, zero());
    store(head.weights + t, weights);
    sums = add(sums, weights);
  }
  const float factor = head.count > 0 ? 1 / sum(sums) : 0;
  std::int64_t d = 0;
  for (; head.Dv - d >= 4 * kLanes; d += 4 * kLanes) decode_values<4>(head, d, factor);
  for (; head.Dv - d >= kLanes; d += kLanes) decode_values<1>(head, d, factor);
  if (d < head.Dv) decode_last_values(head, d, factor);
}

void (*const kDecodeHead)(const DecodeHead&) = decode_head;
