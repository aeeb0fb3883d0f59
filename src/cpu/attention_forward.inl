// Forward: scores of kKeyGroup keys at a time, their powers of two, then values summed. The maximum that powers are
// taken from is raised only when the weights of a group pass kMostWeight: sums stay below it times the number of keys,
// far inside float32, and what was summed is rarely rescaled.
using namespace longstride::cpu;

#include "cpu/attention_mask.inl"
#include "cpu/attention_pack.inl"
#include "cpu/attention_product.inl"

constexpr float kMostWeight = 4096;

// Sets the maxima of lanes to the largest of the scores in flight where that is more, and rescales the sums.
void raise_maximum(const ForwardTile& tile, int t, int count, Lanes seen) {
  for (int u = seen.begin; u < seen.end; u += kLanes) {
    F largest = broadcast(-INFINITY);
    for (int i = 0; i < count; ++i) {
      const F score = load(tile.scores + i * kTileQueries + u);
      const auto reads = tile.visible == nullptr ? ~0u : static_cast<std::uint32_t>(tile.visible[t + i] >> u);
      largest = max(select(reads, score, largest), largest);
    }
    const F before = load(tile.maximum + u), after = max(mul(largest, broadcast(tile.scale)), before);
    const F factor = exp2(sub(before, after)), sum = load(tile.sum + u);
    store(tile.maximum + u, after);
    if (!any_above(sum, zero())) continue;  // nothing summed yet
    store(tile.sum + u, mul(sum, factor));
    for (int d = 0; d < tile.Dv; ++d) {
      float* out = tile.out + d * kTileQueries + u;
      store(out, mul(load(out), factor));
    }
  }
}

// True if a lane has seen no score yet.
LONGSTRIDE_INLINE bool unset_maximum(const ForwardTile& tile, Lanes seen) {
  bool unset = false;
  for (int u = seen.begin; u < seen.end; u += kLanes)
    unset |= any_above(broadcast(-FLT_MAX / 2), load(tile.maximum + u));
  return unset;
}

// Weight of key t + i for lanes from u: 2^(score - maximum), 0 where it is not read.
template <class E>
LONGSTRIDE_INLINE F weight(const ForwardTile& tile, int t, int i, int u, F base) {
  const F w = power_of_two<E>(fma(load(tile.scores + i * kTileQueries + u), broadcast(tile.scale), base));
  return tile.visible == nullptr ? w : select(static_cast<std::uint32_t>(tile.visible[t + i] >> u), w, zero());
}

// Weights of keys [t, t + count) from the scores in flight, zeros in lanes outside of `seen`; their sums to `sums`.
// False if a sum passes kMostWeight: the maximum must be raised first.
template <class E>
LONGSTRIDE_INLINE bool weigh(const ForwardTile& tile, int t, int count, Lanes seen, float* sums) {
  float* to = tile.weights + (kPaired<E> ? t / 2 : t) * kTileQueries;
  const int rows = kPaired<E> ? (count + 1) / 2 : count;
  bool small = true;
  for (int u = 0; u < tile.lanes; u += kLanes) {
    F total = zero();
    if (u < seen.begin || u >= seen.end) {
      for (int i = 0; i < rows; ++i) store(to + i * kTileQueries + u, zero());
    } else {
      const F base = sub(zero(), load(tile.maximum + u));
      for (int i = 0; i < rows; ++i) {
        if constexpr (kPaired<E>) {
          const F first = weight<E>(tile, t, 2 * i, u, base);
          const F second = 2 * i + 1 < count ? weight<E>(tile, t, 2 * i + 1, u, base) : zero();
          total = add(total, add(first, second));
          store_pairs(reinterpret_cast<std::uint32_t*>(to + i * kTileQueries + u), operand_pair(first, second));
        } else {
          const F first = weight<E>(tile, t, i, u, base);
          total = add(total, first);
          store(to + i * kTileQueries + u, first);
        }
      }
    }
    small &= !any_above(total, broadcast(kMostWeight));
    store(sums + u, total);
  }
  return small;
}

// True if lanes [lane, lane + lanes) of out hold sums, which they do from now on: where only some did, the others are
// 0.
bool start_lanes(ForwardTile& tile, int lane, int lanes) {
  const std::uint64_t all = ~std::uint64_t{0} >> (64 - lanes) << lane, held = tile.started & all;
  tile.started |= all;
  if (held == 0) return false;
  if (held == all) return true;
  for (int u = lane; u < lane + lanes; u += kLanes)
    for (int d = 0; (held >> u & 1) == 0 && d < tile.Dv; ++d) store(tile.out + d * kTileQueries + u, zero());
  return true;
}

// out += values of keys [begin, end) times their weights, one key after the other, only into lanes that read it.
template <class E>
void add_values_exactly(ForwardTile& tile, int begin, int end) {
  if (!start_lanes(tile, 0, tile.lanes))
    for (int d = 0; d < tile.Dv; ++d)
      for (int u = 0; u < tile.lanes; u += kLanes) store(tile.out + d * kTileQueries + u, zero());
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
void add_values(ForwardTile& tile, int begin, int end, const Lanes* seen) {
  if (tile.exact && tile.visible != nullptr) return add_values_exactly<E>(tile, begin, end);
  constexpr int kKeys = kPaired<E> ? 2 : 1;  // a word
  const auto add = [&](int first, int last, int lane, int lanes) {
    const std::int64_t row = first / kKeys;
    tile.prefetch->issue();
    product<kPaired<E>, true>({tile.v + row * padded(tile.Dv), padded(tile.Dv),
                               tile.weights + row * kTileQueries + lane, kTileQueries, tile.out + lane, kTileQueries,
                               tile.Dv, lanes, (last - first + kKeys - 1) / kKeys, start_lanes(tile, lane, lanes)});
  };
  if (tile.visible == nullptr)
    add(begin, end, 0, tile.lanes);
  else
    each_chunk(seen, begin, end, tile.lanes, add);
}

template <class E>
void forward_tile(ForwardTile& tile) {
  Lanes seen[kTileKeys / kKeyGroup];
  float sums[kTileQueries];
  int done = 0;  // keys before it are in out
  for (int t = 0; t < tile.keys; t += kKeyGroup) {
    const int count = tile.keys - t < kKeyGroup ? tile.keys - t : kKeyGroup;
    const Lanes lanes = seen[t / kKeyGroup] = lanes_seen(tile.visible, t, count, tile.lanes);
    tile.prefetch->issue();
    product<kPaired<E>, false>({tile.k + t * padded(tile.depth), padded(tile.depth), tile.q + lanes.begin, kTileQueries,
                                tile.scores + lanes.begin, kTileQueries, count, lanes.end - lanes.begin, tile.depth,
                                false});
    if (unset_maximum(tile, lanes) || !weigh<E>(tile, t, count, lanes, sums)) {
      if (t > done) add_values<E>(tile, done, t, seen);
      done = t;
      raise_maximum(tile, t, count, lanes);
      weigh<E>(tile, t, count, lanes, sums);
    }
    tile.prefetch->issue();
    for (int u = 0; u < tile.lanes; u += kLanes) store(tile.sum + u, add(load(tile.sum + u), load(sums + u)));
  }
  add_values<E>(tile, done, tile.keys, seen);
}

void finish_forward(ForwardTile& tile, float* factor, float* lse) {
  for (int u = 0; u < tile.lanes; u += kLanes) {
    for (int d = 0; (tile.started >> u & 1) == 0 && d < tile.Dv; ++d) store(tile.out + d * kTileQueries + u, zero());
    const F sum = load(tile.sum + u);
    store(factor + u, div(broadcast(1), sum));
    store(lse + u, mul(add(load(tile.maximum + u), log2(sum)), broadcast(kLn2)));
    for (int i = u; i < u + kLanes; ++i)
      if (tile.sum[i] == 0) {
        factor[i] = 0;
        lse[i] = -INFINITY;
      }
  }
}

bool finite_sums(const ForwardTile& tile) {
  FiniteCheck check = nothing_seen();
  for (int u = 0; u < tile.lanes; u += kLanes)
    for (int d = 0; d < tile.Dv; ++d) see(check, d, load(tile.out + d * kTileQueries + u));
  return all_finite(check);
}

const ForwardKernels kForwardKernels[2] = {
    {LONGSTRIDE_ROW_KERNELS(float), forward_tile<float>, finish_forward, finite_sums},
    {LONGSTRIDE_ROW_KERNELS(std::uint16_t), forward_tile<std::uint16_t>, finish_forward, finite_sums}};
