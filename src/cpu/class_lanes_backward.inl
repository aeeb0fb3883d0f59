// Backward: P, dS and dq for kLaneBlock queries of every lane at a time, then dk and dv for as many keys.
//   dS = P * (dP - delta);  dv = P^T dout;  dk = scale * dS^T q;  dq = scale * dS k

// Rows 0 and 1 of a pair: words of channels to channels of pairs; or as they are.
template <class E>
LONGSTRIDE_INLINE void keep_rows(const float* rows, int D, float* to) {
  const int words = words_of<E>(D);
  if constexpr (kPaired<E>) {
    pair_rows(rows, rows + words * kLanes, words, to);
  } else {
    for (int w = 0; w < words; ++w) store(to + w * kLanes, load(rows + w * kLanes));
  }
}

struct LaneQuery {
  F lse, delta;  // lse in powers of two; +inf in lanes without such a query, or where it reads nothing
};

template <class E>
LaneQuery lane_query(const LaneWork& op, int u) {
  const int lanes = op.classes.lanes(u, kLanes);
  if (lanes == 0) return {broadcast(INFINITY), zero()};
  const std::int64_t position = op.classes.position(u);
  const char *out[kLanes], *dout[kLanes];
  for (int i = 0; i < lanes; ++i) out[i] = op.rows.out.row(position + i), dout[i] = op.rows.dout.row(position + i);
  float delta[kLanes] = {}, lse[kLanes];
  output_delta<E>(out, dout, lanes, op.Dv, delta);
  for (int i = 0; i < kLanes; ++i)
    lse[i] = i < lanes && op.rows.lse[position + i] != -INFINITY ? op.rows.lse[position + i] * kLog2e : INFINITY;
  return {load(lse), load(delta)};
}

// p_of_keys, ds_of_keys and ds of queries u + i, and u + i + 1 where words are pairs.
template <class E>
LONGSTRIDE_INLINE void differentiate_lanes(const LaneWork& op, const BlockKeys& block, int u, int i,
                                           const LaneQuery* queries) {
  const LaneClasses& classes = op.classes;
  const LaneMemory& m = op.memory;
  const std::int64_t rows = classes.padded_rows(), stride = rows * kLanes;
  const F scale = broadcast(op.scale * kLog2e);
  const auto at = [&](int query, int j, F& p, F& ds) {
    const std::int64_t back = u + query - (block.first + j);
    p = ds = zero();
    if (back < classes.nearest || back >= classes.end) return;
    const std::int64_t e = query * stride + j * kLanes;
    p = power_of_two<E>(fma(load(m.scores + e), scale, sub(zero(), queries[query].lse)));
    ds = mul(p, sub(load(m.dp + e), queries[query].delta));
  };
  for (int j = 0; j < block.count; j += kRowsInWord<E>) {
    const std::int64_t key = (block.first + j) * rows + u + i;
    if constexpr (kPaired<E>) {
      F p[2][2], ds[2][2];
      for (int query = 0; query < 2; ++query)
        for (int t = 0; t < 2; ++t) at(i + query, j + t, p[query][t], ds[query][t]);
      for (int t = 0; t < 2; ++t) {
        const std::int64_t pair_of_queries = (key + t * rows) / 2 * kLanes;
        store_pairs(reinterpret_cast<std::uint32_t*>(m.p_of_keys + pair_of_queries), operand_pair(p[0][t], p[1][t]));
        store_pairs(reinterpret_cast<std::uint32_t*>(m.ds_of_keys + pair_of_queries), operand_pair(ds[0][t], ds[1][t]));
        store_pairs(reinterpret_cast<std::uint32_t*>(m.ds + (i + t) * stride + j / 2 * kLanes),
                    operand_pair(ds[t][0], ds[t][1]));
      }
    } else {
      F p, ds;
      at(i, j, p, ds);
      store(m.p_of_keys + key * kLanes, p);
      store(m.ds_of_keys + key * kLanes, ds);
      store(m.ds + i * stride + j * kLanes, ds);
    }
  }
}

// `sums` of kLaneBlock rows times scale, with what earlier sweeps left of them.
template <class E>
void end_lane_sums(const LaneWork& op, const HeadRows& to, const HeadRows& low, int u, int D, float scale) {
  for (int i = 0; i < kLaneBlock; ++i) {
    const float* sums = op.memory.sums + i * channels_of<E>(D) * kLanes;
    if (op.continues)
      add_to_side<E>(sums, broadcast(scale), broadcast(scale), op.classes, u + i, D, to, low);
    else
      unpack_side<E>(sums, broadcast(scale), op.classes, u + i, D, to);
  }
}

// P, dS and dq of queries u .. u + kLaneBlock - 1.
template <class E>
void backward_lane_queries(const LaneWork& op, int u) {
  const LaneMemory& m = op.memory;
  const BlockKeys block(op.classes, u);
  const int words = words_of<E>(op.Dq), value_words = words_of<E>(op.Dv), rows_in_word = kRowsInWord<E>;
  const std::int64_t rows = op.classes.padded_rows(), row = words * kLanes, value_row = value_words * kLanes;
  const std::int64_t row_channels = channels_of<E>(op.Dq) * kLanes, value_channels = channels_of<E>(op.Dv) * kLanes;
  LaneQuery queries[kLaneBlock];
  for (int i = 0; i < kLaneBlock; ++i) {
    pack_side<E>(op.rows.q, op.classes, u + i, op.Dq, m.queries + i * row);
    pack_side<E>(op.rows.dout, op.classes, u + i, op.Dv, m.dout + i * value_row);
    queries[i] = lane_query<E>(op, u + i);
  }
  for (int i = 0; i < kLaneBlock; i += rows_in_word) {
    keep_rows<E>(m.queries + i * row, op.Dq, m.paired_queries + (u + i) / rows_in_word * row_channels);
    keep_rows<E>(m.dout + i * value_row, op.Dv, m.paired_dout + (u + i) / rows_in_word * value_channels);
  }
  const std::int64_t stride = rows * kLanes;
  lane_product<kPaired<E>>({{m.queries, row, kLanes},
                            {m.keys + block.first * row, row, kLanes},
                            m.scores,
                            stride,
                            block.count,
                            words,
                            op.prefetch});
  lane_product<kPaired<E>>({{m.dout, value_row, kLanes},
                            {m.values + block.first * value_row, value_row, kLanes},
                            m.dp,
                            stride,
                            block.count,
                            value_words,
                            op.prefetch});
  for (int i = 0; i < kLaneBlock; i += rows_in_word) differentiate_lanes<E>(op, block, u, i, queries);
  lane_product<kPaired<E>>({{m.ds, stride, kLanes},
                            {m.paired_keys + block.first / rows_in_word * row_channels, kLanes, row_channels},
                            m.sums,
                            row_channels,
                            op.Dq,
                            block.count / rows_in_word,
                            op.prefetch});
  end_lane_sums<E>(op, op.rows.dq, op.rows.dq_low, u, op.Dq, op.scale);
}

// dk and dv of keys k .. k + kLaneBlock - 1, from all queries that read one of them.
template <class E>
void backward_lane_key_sums(const LaneWork& op, int k) {
  const LaneClasses& classes = op.classes;
  const LaneMemory& m = op.memory;
  const std::int64_t rows = classes.padded_rows(), last = k + kLaneBlock - 1 + classes.end - 1;
  const std::int64_t first = k + classes.nearest, end = last < rows ? last + 1 : rows;
  const std::int64_t begin = first / kRowsInWord<E>, depth = (end + kRowsInWord<E> - 1) / kRowsInWord<E> - begin;
  const std::int64_t words = rows / kRowsInWord<E> * kLanes, weights = k * words + begin * kLanes;
  const auto product = [&](const float* of, const float* by, int D, const HeadRows& to, const HeadRows& low,
                           float scale) {
    const std::int64_t row = channels_of<E>(D) * kLanes;
    lane_product<kPaired<E>>({{of + weights, words, kLanes},
                              {by + begin * row, kLanes, row},
                              m.sums,
                              row,
                              D,
                              static_cast<int>(depth > 0 ? depth : 0),
                              op.prefetch});
    end_lane_sums<E>(op, to, low, k, D, scale);
  };
  product(m.p_of_keys, m.paired_dout, op.Dv, op.rows.dv, op.rows.dv_low, 1);
  product(m.ds_of_keys, m.paired_queries, op.Dq, op.rows.dk, op.rows.dk_low, op.scale);
}

template <class E>
void backward_lane_keys(const LaneWork& op) {
  const LaneClasses& classes = op.classes;
  const LaneMemory& m = op.memory;
  const int rows = classes.padded_rows(), words = words_of<E>(op.Dq), value_words = words_of<E>(op.Dv);
  for (int u = 0; u < rows; ++u) {
    pack_side<E>(op.rows.k, classes, u, op.Dq, m.keys + u * words * kLanes);
    pack_side<E>(op.rows.v, classes, u, op.Dv, m.values + u * value_words * kLanes);
  }
  for (int u = 0; u < rows; u += kRowsInWord<E>)
    keep_rows<E>(m.keys + u * words * kLanes, op.Dq,
                 m.paired_keys + u / kRowsInWord<E> * channels_of<E>(op.Dq) * kLanes);
}
