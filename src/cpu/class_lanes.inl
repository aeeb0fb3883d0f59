// Lane matrices: from rows and back, and their products. An element is kLanes words, a class a lane.

static_assert(kClassesAtOnce % kLanes == 0);
constexpr int kBlockRows = kLanes == 16 ? kLaneBlock : 2;  // of a product: its sums stay in registers

// Whole: kLanes rows, kLanes words of each from w on.
template <class E, bool Whole>
LONGSTRIDE_INLINE void pack_side_block(const char* row, std::int64_t row_bytes, int lanes, int w, int D, float* to) {
  F block[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    block[i] = Whole || i < lanes ? load_row_words<E>(row + i * row_bytes, w, D) : zero();
  transpose(block);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    if (Whole || w + i < words_of<E>(D)) store(to + (w + i) * kLanes, block[i]);
}

// Rows row, row + row_bytes, ..., a lane each: words of D channels, zeros in lanes from `lanes` on; (words, kLanes).
template <class E>
LONGSTRIDE_INLINE void pack_neighbours(const char* row, std::int64_t row_bytes, int lanes, int D, float* to) {
  for (int w = 0; w < words_of<E>(D); w += kLanes) {
    if (lanes == kLanes && words_of<E>(D) - w >= kLanes)
      pack_side_block<E, true>(row, row_bytes, lanes, w, D, to);
    else
      pack_side_block<E, false>(row, row_bytes, lanes, w, D, to);
  }
}

// Row u of the classes side by side.
template <class E>
LONGSTRIDE_INLINE void pack_side(const HeadRows& m, const LaneClasses& classes, int u, int D, float* to) {
  pack_neighbours<E>(m.row(classes.position(u)), m.row_bytes, classes.lanes(u, kLanes), D, to);
}

// Two rows of words, pairs of channels, as channels of pairs of rows. to: (2 * words, kLanes).
LONGSTRIDE_INLINE void pair_rows(const float* even, const float* odd, int words, float* to) {
  for (int w = 0; w < words; ++w) {
    P low, high;
    halves_of(load_words<true>(even + w * kLanes), load_words<true>(odd + w * kLanes), low, high);
    store_pairs(reinterpret_cast<std::uint32_t*>(to + 2 * w * kLanes), low);
    store_pairs(reinterpret_cast<std::uint32_t*>(to + (2 * w + 1) * kLanes), high);
  }
}

// Channels of a pair of rows, or of a row, in a lane matrix.
template <class E>
constexpr int channels_of(int D) {
  return kPaired<E> ? (D + 1) / 2 * 2 : D;
}
template <class E>
constexpr int kRowsInWord = kPaired<E> ? 2 : 1;

// (D, kLanes) times factor to row u of the classes.
template <class E>
LONGSTRIDE_INLINE void unpack_side(const float* from, F factor, const LaneClasses& classes, int u, int D,
                                   const HeadRows& m) {
  const int lanes = classes.lanes(u, kLanes);
  char* row = m.row(classes.position(u));
  const auto channel = [&](int d) { return d < D ? mul(load(from + d * kLanes), factor) : zero(); };
  constexpr int kChannels = kLanes * kRowsInWord<E>;  // a block
  for (int d = 0; d < D; d += kChannels) {
    F block[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if constexpr (kPaired<E>)
        block[i] = as_floats(operand_pair(channel(d + 2 * i), channel(d + 2 * i + 1)));
      else
        block[i] = channel(d + i);
    }
    transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i >= lanes) break;
      char* to = row + i * m.row_bytes + d * static_cast<int>(sizeof(E));
      if constexpr (kPaired<E>)
        store_bf16_neighbours(reinterpret_cast<std::uint16_t*>(to), block[i], D - d);
      else if constexpr (sizeof(E) == 2)
        store_bf16_partial(reinterpret_cast<std::uint16_t*>(to), block[i], D - d);
      else
        store_partial(reinterpret_cast<float*>(to), block[i], D - d);
    }
  }
}

// As unpack_side, to what earlier sweeps left of row u (store_sums) times `before`.
template <class E>
LONGSTRIDE_INLINE void add_to_side(const float* from, F factor, F before, const LaneClasses& classes, int u, int D,
                                   const HeadRows& m, const HeadRows& low) {
  const int lanes = classes.lanes(u, kLanes);
  const std::int64_t position = classes.position(u);
  float weights[kLanes];
  store(weights, before);
  for (int d = 0; d < D; d += 2 * kLanes) {
    F rows[2][kLanes];
    load_transposed<false>(from, kLanes, factor, d, D, rows[0]);
    load_transposed<false>(from, kLanes, factor, d + kLanes, D, rows[1]);
    for (int i = 0; i < lanes; ++i) {
      char* row = m.row(position + i);
      F first, second;
      load_two_sums<E>(row, low.row(position + i), d, D, first, second);
      first = fma(first, broadcast(weights[i]), rows[0][i]);
      second = fma(second, broadcast(weights[i]), rows[1][i]);
      store_two<E>(row, first, second, d, D);
    }
  }
}

// Element (r, c) at data + r * row + c * col, in floats.
struct LaneView {
  const float* data;
  std::int64_t row, col;
};

// C (kLaneBlock, cols) = the sum over depth of A (kLaneBlock, depth) * B (cols, depth), lane by lane.
struct LaneProduct {
  LaneView a, b;
  float* c;
  std::int64_t c_row;  // columns are neighbours
  int cols, depth;
  LanePrefetch* prefetch = nullptr;
};

template <bool Paired, int Cols>
LONGSTRIDE_INLINE void lane_block(const LaneProduct& p, int row, int col) {
  F sum[kBlockRows][Cols];
  float* c = p.c + row * p.c_row + col * kLanes;
#pragma GCC unroll 4
  for (int m = 0; m < kBlockRows; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < Cols; ++n) sum[m][n] = zero();
  const float *a = p.a.data + row * p.a.row, *b = p.b.data + col * p.b.row;
  const std::int64_t a_row = p.a.row, b_row = p.b.row, a_col = p.a.col, b_col = p.b.col;
  for (int k = 0; k < p.depth; ++k, a += a_col, b += b_col) {
    decltype(load_words<Paired>(a)) word[kBlockRows];
#pragma GCC unroll 4
    for (int m = 0; m < kBlockRows; ++m) word[m] = load_words<Paired>(a + m * a_row);
#pragma GCC unroll 4
    for (int n = 0; n < Cols; ++n) {
      const auto other = load_words<Paired>(b + n * b_row);
#pragma GCC unroll 4
      for (int m = 0; m < kBlockRows; ++m) sum[m][n] = multiply_add(word[m], other, sum[m][n]);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < kBlockRows; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < Cols; ++n) store(c + m * p.c_row + n * kLanes, sum[m][n]);
}

template <bool Paired>
void lane_product(const LaneProduct& p) {
  for (int row = 0; row < kLaneBlock; row += kBlockRows) {
    int col = 0;
    for (; p.cols - col >= 4; col += 4) {
      p.prefetch->issue();
      lane_block<Paired, 4>(p, row, col);
    }
    for (; col < p.cols; ++col) {
      p.prefetch->issue();
      lane_block<Paired, 1>(p, row, col);
    }
  }
}
