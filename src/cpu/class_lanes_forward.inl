// Forward, kLaneBlock queries of every lane at a time: all their scores, the softmax, values.

// Weights of query i from its scores; its maximum and the sum of its weights. before: of what earlier sweeps read.
struct LaneSoftmax {
  F maximum, sum, before;
};

// op.scores and op.weights: row i of the block holds the keys from block.first on.
template <class E>
LONGSTRIDE_INLINE LaneSoftmax lane_softmax(const LaneWork& op, const BlockKeys& block, int u, int i) {
  const LaneClasses& classes = op.classes;
  const std::int64_t stride = classes.padded_rows() * kLanes;
  const float* scores = op.memory.scores + i * stride;
  float* weights = op.memory.weights + i * stride;
  const std::int64_t query = u + i, back = query - classes.end + 1;
  const int begin = static_cast<int>((back > 0 ? back : 0) - block.first);
  const int end = static_cast<int>(query - classes.nearest + 1) - block.first;  // may lie at or before begin
  F largest = broadcast(-INFINITY);
  for (int j = begin; j < end; ++j) largest = max(load(scores + j * kLanes), largest);
  const F scale = broadcast(op.scale * kLog2e);
  F maximum = mul(largest, scale), earlier = broadcast(-INFINITY);
  if (op.continues) {
    const int lanes = classes.lanes(static_cast<int>(query), kLanes);
    earlier = mul(load_partial(op.rows.lse + classes.position(static_cast<int>(query)), lanes), broadcast(kLog2e));
    maximum = max(maximum, earlier);
  }
  const F base = sub(zero(), max(maximum, broadcast(-FLT_MAX)));  // nothing read: 0 weighs 2^-inf
  F total = zero();
  const auto weigh = [&](int j) {
    const F w = j >= begin && j < end ? power_of_two<E>(fma(load(scores + j * kLanes), scale, base)) : zero();
    total = add(total, w);
    return w;
  };
  for (int j = 0; j < block.count; j += kRowsInWord<E>) {
    if constexpr (kPaired<E>) {
      const F first = weigh(j), second = weigh(j + 1);
      store_pairs(reinterpret_cast<std::uint32_t*>(weights + j / 2 * kLanes), operand_pair(first, second));
    } else {
      store(weights + j * kLanes, weigh(j));
    }
  }
  const F before = op.continues ? exp2(add(earlier, base)) : zero();
  return {maximum, add(total, before), before};
}

// sums += values times weights, key by key, so that a key counts where it is read and nowhere else.
template <class E>
void add_lane_values_exactly(const LaneWork& op, const BlockKeys& block, int u) {
  const LaneClasses& classes = op.classes;
  const int channels = channels_of<E>(op.Dv);
  const std::int64_t stride = classes.padded_rows() * kLanes;
  for (int i = 0; i < kLaneBlock; ++i)
    for (int j = block.first; j < block.first + block.count; ++j) {
      if (u + i - j < classes.nearest || u + i - j >= classes.end) continue;
      const float* weight = op.memory.weights + i * stride + (j - block.first) / kRowsInWord<E> * kLanes;
      const float* value = op.memory.values + static_cast<std::int64_t>(j / kRowsInWord<E>) * channels * kLanes;
      for (int d = 0; d < op.Dv; ++d) {
        float* sum = op.memory.sums + (i * channels + d) * kLanes;
        if constexpr (kPaired<E>) {
          P low, high, weights[2], values[2];
          const P none = as_pairs(zero());
          halves_of(load_words<true>(weight), none, low, high);
          weights[0] = low, weights[1] = high;
          halves_of(load_words<true>(value + d * kLanes), none, low, high);
          values[0] = low, values[1] = high;
          store(sum, dot_pairs(weights[j % 2], values[j % 2], load(sum)));
        } else {
          store(sum, fma(load(weight), load(value + d * kLanes), load(sum)));
        }
      }
    }
}

// Queries u .. u + kLaneBlock - 1. False where an output is not finite; then nothing was stored, unless exact.
template <class E>
bool forward_lane_block(const LaneWork& op, int u, bool exact) {
  const LaneClasses& classes = op.classes;
  const LaneMemory& m = op.memory;
  const BlockKeys block(classes, u);
  const int channels = channels_of<E>(op.Dv), words = words_of<E>(op.Dq);
  const std::int64_t stride = classes.padded_rows() * kLanes, row = words * kLanes;
  lane_product<kPaired<E>>({{m.queries, row, kLanes},
                            {m.keys + block.first * row, row, kLanes},
                            m.scores,
                            stride,
                            block.count,
                            words,
                            op.prefetch});
  LaneSoftmax softmax[kLaneBlock];
  for (int i = 0; i < kLaneBlock; ++i) softmax[i] = lane_softmax<E>(op, block, u, i);
  if (exact) {
    for (int e = 0; e < kLaneBlock * channels * kLanes; e += kLanes) store(m.sums + e, zero());
    add_lane_values_exactly<E>(op, block, u);
  } else {
    const float* values = m.values + static_cast<std::int64_t>(block.first / kRowsInWord<E>) * channels * kLanes;
    lane_product<kPaired<E>>({{m.weights, stride, kLanes},
                              {values, kLanes, channels * kLanes},
                              m.sums,
                              channels * kLanes,
                              op.Dv,
                              block.count / kRowsInWord<E>,
                              op.prefetch});
  }
  FiniteCheck check = nothing_seen();
  for (int d = 0; d < op.Dv && !exact; ++d)
#pragma GCC unroll 4
    for (int i = 0; i < kLaneBlock; ++i) see(check, i, load(m.sums + (i * channels + d) * kLanes));
  if (!all_finite(check)) return false;
  for (int i = 0; i < kLaneBlock; ++i) {
    const int lanes = classes.lanes(u + i, kLanes);
    if (lanes == 0) break;
    const F total = softmax[i].sum;
    float factor[kLanes], lse[kLanes], totals[kLanes];
    store(totals, total);
    store(factor, div(broadcast(1), total));
    store(lse, mul(add(softmax[i].maximum, log2(total)), broadcast(kLn2)));
    for (int lane = 0; lane < kLanes; ++lane)
      if (totals[lane] == 0) factor[lane] = 0, lse[lane] = -INFINITY;
    store_partial(op.rows.lse + classes.position(u + i), load(lse), lanes);
    const float* sums = m.sums + i * channels * kLanes;
    if (op.continues)
      add_to_side<E>(sums, load(factor), mul(softmax[i].before, load(factor)), classes, u + i, op.Dv, op.rows.out, op.rows.out_low);
    else
      unpack_side<E>(sums, load(factor), classes, u + i, op.Dv, op.rows.out);
  }
  return true;
}

template <class E>
void forward_lane_keys(const LaneWork& op) {
  const LaneClasses& classes = op.classes;
  const LaneMemory& m = op.memory;
  const int words = words_of<E>(op.Dq), value_words = words_of<E>(op.Dv), channels = channels_of<E>(op.Dv);
  for (int u = 0; u < classes.padded_rows(); ++u) {
    pack_side<E>(op.rows.k, classes, u, op.Dq, m.keys + u * words * kLanes);
    if constexpr (kPaired<E>) {
      float* word = m.value_rows + u % 2 * value_words * kLanes;
      pack_side<E>(op.rows.v, classes, u, op.Dv, word);
      if (u % 2 == 1) pair_rows(m.value_rows, word, value_words, m.values + u / 2 * channels * kLanes);
    } else {
      pack_side<E>(op.rows.v, classes, u, op.Dv, m.values + u * channels * kLanes);
    }
  }
}

// out and lse of queries u .. u + kLaneBlock - 1.
template <class E>
void forward_lane_queries(const LaneWork& op, int u) {
  const int words = words_of<E>(op.Dq);
  for (int i = 0; i < kLaneBlock; ++i)
    pack_side<E>(op.rows.q, op.classes, u + i, op.Dq, op.memory.queries + i * words * kLanes);
  if (!forward_lane_block<E>(op, u, false)) forward_lane_block<E>(op, u, true);
}
