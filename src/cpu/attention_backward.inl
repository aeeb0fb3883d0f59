// Backward: scores and their gradient for kKeyGroup keys at a time, then three products that add to dv, dk and dq.
using namespace longstride::cpu;

#include "cpu/attention_mask.inl"
#include "cpu/attention_pack.inl"
#include "cpu/attention_product.inl"

struct WeightAndGradient {
  F p, ds;
};

// Of key t + i for lanes u .. u + kLanes - 1; zeros where `inside` is false.
template <class E>
LONGSTRIDE_INLINE WeightAndGradient weight_and_gradient(const BackwardTile& tile, int t, int i, int u, bool inside) {
  if (!inside) return {zero(), zero()};
  const F score = load(tile.scores + i * kTileQueries + u), dp = load(tile.dp + i * kTileQueries + u);
  F p = power_of_two<E>(fma(score, broadcast(tile.scale), sub(zero(), load(tile.lse + u))));
  F ds = mul(p, sub(dp, load(tile.delta + u)));
  if (tile.visible != nullptr) {
    const auto reads = static_cast<std::uint32_t>(tile.visible[t + i] >> u);
    p = select(reads, p, zero());
    ds = select(reads, ds, zero());
  }
  return {p, ds};
}

// p_rows, ds_rows and ds_pairs of keys [t, t + count) from the scores in flight.
template <class E>
void differentiate(const BackwardTile& tile, int t, int count, Lanes seen) {
  const auto inside = [&](int i, int u) { return i < count && u >= seen.begin && u < seen.end; };
  if constexpr (kPaired<E>) {
    for (int u = 0; u < tile.lanes; u += 2 * kLanes)
      for (int i = 0; i < count; i += 2) {
        WeightAndGradient w[2][2];
        for (int key = 0; key < 2; ++key) {
          for (int v = 0; v < 2; ++v)
            w[key][v] = weight_and_gradient<E>(tile, t, i + key, u + v * kLanes, inside(i + key, u + v * kLanes));
          const std::int64_t at = ((t + i + key) * kTileQueries + u) / 2;
          store_pairs(reinterpret_cast<std::uint32_t*>(tile.p_rows + at), operand_neighbours(w[key][0].p, w[key][1].p));
          store_pairs(reinterpret_cast<std::uint32_t*>(tile.ds_rows + at),
                      operand_neighbours(w[key][0].ds, w[key][1].ds));
        }
        for (int v = 0; v < 2; ++v)
          store_pairs(reinterpret_cast<std::uint32_t*>(tile.ds_pairs + (t + i) / 2 * kTileQueries + u + v * kLanes),
                      operand_pair(w[0][v].ds, w[1][v].ds));
      }
  } else {
    for (int u = 0; u < tile.lanes; u += kLanes)
      for (int i = 0; i < count; ++i) {
        const WeightAndGradient w = weight_and_gradient<E>(tile, t, i, u, inside(i, u));
        store(tile.p_rows + (t + i) * kTileQueries + u, w.p);
        store(tile.ds_rows + (t + i) * kTileQueries + u, w.ds);
      }
  }
}

// to[position of key t] += sum over queries u of `seen` of a[t][u] * b[u], for keys [begin, end). to: (T, stride).
template <class E>
void add_to_keys(const BackwardTile& tile, const float* a, const float* b, float* to, int channels, int begin, int end,
                 Lanes seen) {
  constexpr int kQueries = kPaired<E> ? 2 : 1;  // a word
  const std::int64_t stride = padded(channels), a_stride = kTileQueries / kQueries;
  const int last = seen.end < tile.queries ? seen.end : tile.queries, first_word = seen.begin / kQueries;
  const int depth = (last - seen.begin + kQueries - 1) / kQueries;
  const Span& span = tile.span;
  for (int t = begin; t < end;) {
    // Rows of equal distance: a run's, or all where runs are one key long.
    const std::int64_t run = span.run == 1 ? end : span.run - t % span.run;
    const int rows = static_cast<int>(run < end - t ? run : end - t);
    product<kPaired<E>, false>({a + t * a_stride + first_word, a_stride, b + first_word * stride, stride,
                                to + span.at(t) * stride, span.run == 1 ? span.step * stride : stride, rows,
                                (channels + kLanes - 1) / kLanes * kLanes, depth, true});
    t += rows;
  }
}

template <class E>
void backward_tile(const BackwardTile& tile) {
  Lanes seen[kTileKeys / kKeyGroup];
  const int keys = static_cast<int>(tile.span.count);
  for (int t = 0; t < keys; t += kKeyGroup) {
    const int count = keys - t < kKeyGroup ? keys - t : kKeyGroup;
    const Lanes lanes = seen[t / kKeyGroup] = lanes_seen(tile.visible, t, count, tile.lanes);
    tile.prefetch->issue();
    product<kPaired<E>, false>({tile.k + t * padded(tile.depth), padded(tile.depth), tile.q + lanes.begin, kTileQueries,
                                tile.scores + lanes.begin, kTileQueries, count, lanes.end - lanes.begin, tile.depth,
                                false});
    tile.prefetch->issue();
    product<kPaired<E>, false>({tile.v + t * padded(tile.depth_v), padded(tile.depth_v), tile.dout + lanes.begin,
                                kTileQueries, tile.dp + lanes.begin, kTileQueries, count, lanes.end - lanes.begin,
                                tile.depth_v, false});
    tile.prefetch->issue();
    differentiate<E>(tile, t, count, lanes);
  }
  const int step = tile.visible == nullptr ? keys : kKeyGroup;
  for (int t = 0; t < keys; t += step) {
    const int end = t + step < keys ? t + step : keys;
    tile.prefetch->issue();
    add_to_keys<E>(tile, tile.p_rows, tile.dout_rows, tile.dv, tile.Dv, t, end, seen[t / kKeyGroup]);
    tile.prefetch->issue();
    add_to_keys<E>(tile, tile.ds_rows, tile.q_rows, tile.dk, tile.Dq, t, end, seen[t / kKeyGroup]);
  }
  const float* ds = kPaired<E> ? tile.ds_pairs : tile.ds_rows;
  constexpr int kKeys = kPaired<E> ? 2 : 1;
  const auto add = [&](int first, int last, int lane, int lanes) {
    const std::int64_t row = first / kKeys;
    tile.prefetch->issue();
    product<kPaired<E>, true>({tile.k_pairs + row * padded(tile.Dq), padded(tile.Dq), ds + row * kTileQueries + lane,
                               kTileQueries, tile.dq + lane, kTileQueries, tile.Dq, lanes,
                               (last - first + kKeys - 1) / kKeys, true});
  };
  if (tile.visible == nullptr)
    add(0, keys, 0, tile.lanes);
  else
    each_chunk(seen, 0, keys, tile.lanes, add);
}

template <class E>
void scale_row(const float* from, float factor, int D, char* to) {
  for (int d = 0; d < D; d += kLanes) {
    const F x = mul(load(from + d), broadcast(factor));
    if constexpr (sizeof(E) == 4)
      store_partial(reinterpret_cast<float*>(to) + d, x, D - d);
    else
      store_bf16_partial(reinterpret_cast<std::uint16_t*>(to) + d, x, D - d);
  }
}

const BackwardKernels kBackwardKernels[2] = {
    {LONGSTRIDE_ROW_KERNELS(float), backward_tile<float>, output_delta<float>, scale_row<float>},
    {LONGSTRIDE_ROW_KERNELS(std::uint16_t), backward_tile<std::uint16_t>, output_delta<std::uint16_t>,
     scale_row<std::uint16_t>}};
