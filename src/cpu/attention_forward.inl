// Forward: scores of kKeyGroup keys at a time, their powers of two, then values summed. The maximum that powers are
// taken from is raised only when a score passes it by kSlack: sums stay below 2^kSlack times the number of keys, far
// inside float32, and what was summed is rarely rescaled.
#include "cpu/attention_mask.inl"
#include "cpu/attention_pack.inl"
#include "cpu/attention_product.inl"

constexpr float kSlack = 8;

// Scores of keys that a lane does not read become -inf, as do those of a last odd key's partner. True if a score passes
// the maximum by more than kSlack.
LONGSTRIDE_INLINE bool mask_and_compare(const ForwardTile& tile, int t, int count, Lanes seen) {
  const F scale = broadcast(tile.scale), slack = broadcast(kSlack), none = broadcast(-INFINITY);
  bool above = false;
  for (int u = seen.begin; u < seen.end; u += kLanes) {
    F largest = none;
    for (int i = 0; i < count; ++i) {
      F score = load(tile.scores + i * kTileQueries + u);
      if (tile.visible != nullptr) {
        score = select(static_cast<std::uint32_t>(tile.visible[t + i] >> u), score, none);
        store(tile.scores + i * kTileQueries + u, score);
      }
      largest = max(score, largest);
    }
    if (count % 2 != 0) store(tile.scores + count * kTileQueries + u, none);
    above |= any_above(mul(largest, scale), add(load(tile.maximum + u), slack));
  }
  return above;
}

// Raises maxima to the scores in flight and rescales the sums.
void raise_maximum(const ForwardTile& tile, int count, Lanes seen) {
  for (int u = seen.begin; u < seen.end; u += kLanes) {
    F largest = load(tile.scores + u);
    for (int i = 1; i < count; ++i) largest = max(load(tile.scores + i * kTileQueries + u), largest);
    const F before = load(tile.maximum + u), after = max(mul(largest, broadcast(tile.scale)), before);
    const F factor = exp2(sub(before, after));
    store(tile.maximum + u, after);
    store(tile.sum + u, mul(load(tile.sum + u), factor));
    for (int d = 0; d < tile.Dv; ++d) {
      float* out = tile.out + d * kTileQueries + u;
      store(out, mul(load(out), factor));
    }
  }
}

// Weights of keys [t, t + count) from the scores in flight; zeros in lanes outside of `seen`.
template <class E>
LONGSTRIDE_INLINE void weigh(const ForwardTile& tile, int t, int count, Lanes seen) {
  const F scale = broadcast(tile.scale);
  float* to = tile.weights + (kPaired<E> ? t / 2 : t) * kTileQueries;
  const int rows = kPaired<E> ? (count + 1) / 2 : count;
  for (int u = 0; u < tile.lanes; u += kLanes) {
    if (u < seen.begin || u >= seen.end) {
      for (int i = 0; i < rows; ++i) store(to + i * kTileQueries + u, zero());
      continue;
    }
    const F base = sub(zero(), load(tile.maximum + u));
    F sum = load(tile.sum + u);
    for (int i = 0; i < rows; ++i) {
      const float* scores = tile.scores + (kPaired<E> ? 2 * i : i) * kTileQueries + u;
      const F first = power_of_two<E>(fma(load(scores), scale, base));
      if constexpr (kPaired<E>) {
        const F second = power_of_two<E>(fma(load(scores + kTileQueries), scale, base));
        sum = add(sum, add(first, second));
        store_pairs(reinterpret_cast<std::uint32_t*>(to + i * kTileQueries + u), operand_pair(first, second));
      } else {
        sum = add(sum, first);
        store(to + i * kTileQueries + u, first);
      }
    }
    store(tile.sum + u, sum);
  }
}

// out += values of keys [begin, end) times their weights, one key after the other, only into lanes that read it.
template <class E>
void add_values_exactly(const ForwardTile& tile, int begin, int end) {
  for (int t = begin; t < end; ++t)
    for (int d = 0; d < tile.Dv; ++d)
      for (int u = 0; u < tile.lanes; u += kLanes) {
        float* out = tile.out + d * kTileQueries + u;
        const F before = load(out);
        F after;
        if constexpr (kPaired<E>) {
          std::uint32_t word;
          std::memcpy(&word, tile.v + t / 2 * padded(tile.Dv) + d, sizeof word);
          word &= t % 2 == 0 ? 0xffffu : 0xffff0000u;
          after = dot_pairs(broadcast_pair(word), load_words<true>(tile.weights + t / 2 * kTileQueries + u), before);
        } else {
          after = fma(broadcast(tile.v[t * padded(tile.Dv) + d]), load(tile.weights + t * kTileQueries + u), before);
        }
        store(out, select(static_cast<std::uint32_t>(tile.visible[t] >> u), after, before));
      }
}

// out += values of keys [begin, end) times their weights. begin is a multiple of kKeyGroup. seen: of each key group.
template <class E>
void add_values(const ForwardTile& tile, int begin, int end, const Lanes* seen) {
  if (tile.exact && tile.visible != nullptr) return add_values_exactly<E>(tile, begin, end);
  constexpr int kKeys = kPaired<E> ? 2 : 1;  // a word
  const auto add = [&](int first, int last, int lane, int lanes) {
    const std::int64_t row = first / kKeys;
    product<kPaired<E>, true>({tile.v + row * padded(tile.Dv), padded(tile.Dv), tile.weights + row * kTileQueries + lane,
                               kTileQueries, tile.out + lane, kTileQueries, tile.Dv, lanes,
                               (last - first + kKeys - 1) / kKeys, true});
  };
  if (tile.visible == nullptr)
    add(begin, end, 0, tile.lanes);
  else
    each_chunk(seen, begin, end, tile.lanes, add);
}

template <class E>
void forward_tile(const ForwardTile& tile) {
  Lanes seen[kTileKeys / kKeyGroup];
  int weighed = 0;  // keys before it are in out
  for (int t = 0; t < tile.keys; t += kKeyGroup) {
    const int count = tile.keys - t < kKeyGroup ? tile.keys - t : kKeyGroup;
    const Lanes lanes = seen[t / kKeyGroup] = lanes_seen(tile.visible, t, count, tile.lanes);
    product<kPaired<E>, false>({tile.k + t * padded(tile.depth), padded(tile.depth), tile.q + lanes.begin, kTileQueries,
                                tile.scores + lanes.begin, kTileQueries, count, lanes.end - lanes.begin, tile.depth,
                                false});
    if (mask_and_compare(tile, t, count, lanes)) {
      if (t > weighed) add_values<E>(tile, weighed, t, seen);
      weighed = t;
      raise_maximum(tile, count, lanes);
    }
    weigh<E>(tile, t, count, lanes);
  }
  add_values<E>(tile, weighed, tile.keys, seen);
}

bool finish_forward(const ForwardTile& tile, float* factor, float* lse) {
  F check = zero();
  for (int u = 0; u < tile.lanes; u += kLanes) {
    const F sum = load(tile.sum + u);
    for (int d = 0; d < tile.Dv; ++d) check = fma(load(tile.out + d * kTileQueries + u), zero(), check);
    store(factor + u, div(broadcast(1), sum));
    store(lse + u, mul(add(load(tile.maximum + u), log2(sum)), broadcast(kLn2)));
    for (int i = u; i < u + kLanes; ++i)
      if (tile.sum[i] == 0) {
        factor[i] = 0;
        lse[i] = -INFINITY;
      }
  }
  return sum(check) == 0;
}

const ForwardKernels kForwardKernels[2] = {
    {LONGSTRIDE_ROW_KERNELS(float), forward_tile<float>, finish_forward},
    {LONGSTRIDE_ROW_KERNELS(std::uint16_t), forward_tile<std::uint16_t>, finish_forward}};
