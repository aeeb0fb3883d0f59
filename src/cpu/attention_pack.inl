// Rows of matrices to words of products and back. E: float or std::uint16_t, a bfloat16.

template <class E>
constexpr bool kPaired = sizeof(E) == 2 && kNativeBf16;

template <class E>
constexpr int words_of(int D) {
  return kPaired<E> ? (D + 1) / 2 : D;
}

// Words w .. w + kLanes - 1 of a row of D channels, 0 past its end.
template <class E>
LONGSTRIDE_INLINE F load_row_words(const char* row, int w, int D) {
  const E* p = reinterpret_cast<const E*>(row);
  if constexpr (sizeof(E) == 4)
    return load_partial(p + w, D - w);
  else if constexpr (kPaired<E>)
    return load_bf16_neighbours(p + 2 * w, D - 2 * w);
  else
    return load_bf16_partial(p + w, D - w);
}

// Whole: kLanes rows, kLanes words of each.
template <class E, bool Whole>
LONGSTRIDE_INLINE void pack_lanes_block(RowPointers rows, int count, int w, int D, float* to) {
  const int words = words_of<E>(D) - w;
  F block[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) block[i] = Whole || i < count ? load_row_words<E>(rows[i], w, D) : zero();
  transpose(block);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    if (Whole || i < words) store(to + (w + i) * kTileQueries, block[i]);
}

template <class E>
void pack_lanes(RowPointers rows, int count, int D, float* to) {
  const int depth = words_of<E>(D);
  for (int u = 0; u < count; u += kLanes)
    for (int w = 0; w < depth; w += kLanes) {
      if (count - u >= kLanes && depth - w >= kLanes)
        pack_lanes_block<E, true>(rows + u, count - u, w, D, to + u);
      else
        pack_lanes_block<E, false>(rows + u, count - u, w, D, to + u);
    }
}

template <class E>
void pack_rows(RowPointers rows, int count, int D, float* to) {
  const int depth = words_of<E>(D);
  const std::int64_t stride = padded(depth);
  for (int t = 0; t < count; ++t)
    for (int w = 0; w < depth; w += kLanes) store(to + t * stride + w, load_row_words<E>(rows[t], w, D));
}

template <class E>
void pack_pairs(RowPointers rows, int count, int D, float* to) {
  if constexpr (!kPaired<E>) {
    pack_rows<E>(rows, count, D, to);
  } else {
    alignas(64) static constexpr std::uint16_t kNoRow[kMaxHeadChannels] = {};
    for (int t = 0; t < count; t += 2, to += padded(D)) {
      const auto* even = reinterpret_cast<const std::uint16_t*>(rows[t]);
      const auto* odd = t + 1 < count ? reinterpret_cast<const std::uint16_t*>(rows[t + 1]) : kNoRow;
      for (int d = 0; d < D; d += 2 * kLanes) {
        P low, high;
        interleave_bf16(even + d, odd + d, D - d, low, high);
        store_pairs(reinterpret_cast<std::uint32_t*>(to + d), low);
        if (D - d > kLanes) store_pairs(reinterpret_cast<std::uint32_t*>(to + d + kLanes), high);
      }
    }
  }
}

// NaN once a number was not finite. Several sums, so that one need not wait for the other.
struct FiniteCheck {
  F sums[4];
};
LONGSTRIDE_INLINE FiniteCheck nothing_seen() { return {{zero(), zero(), zero(), zero()}}; }
LONGSTRIDE_INLINE void see(FiniteCheck& check, int i, F x) { check.sums[i % 4] = fma(x, zero(), check.sums[i % 4]); }
LONGSTRIDE_INLINE bool all_finite(const FiniteCheck& check) {
  return sum(add(add(check.sums[0], check.sums[1]), add(check.sums[2], check.sums[3]))) == 0;
}

// Channels d .. d + kLanes - 1, `stride` apart, of kLanes lanes times factor, transposed: a row of channels a lane.
template <bool Whole>
LONGSTRIDE_INLINE void load_transposed(const float* from, int stride, F factor, int d, int D, F* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) rows[i] = Whole || d + i < D ? mul(load(from + (d + i) * stride), factor) : zero();
  transpose(rows);
}

// Channels d .. d + 2 * kLanes - 1 of a row, as far as D.
template <class E>
LONGSTRIDE_INLINE void store_two(char* row, F first, F second, int d, int D) {
  if constexpr (sizeof(E) == 2) {
    store_bf16_twice(reinterpret_cast<std::uint16_t*>(row) + d, first, second, D - d);
  } else {
    float* to = reinterpret_cast<float*>(row) + d;
    store_partial(to, first, D - d);
    if (D - d > kLanes) store_partial(to + kLanes, second, D - d - kLanes);
  }
}

template <class E, bool Whole>
LONGSTRIDE_INLINE void unpack_block(const float* from, F factor, int u, int d, int count, int D, char* const* rows,
                                    bool to_float, FiniteCheck& check) {
  F first[kLanes], second[kLanes];
  load_transposed<Whole>(from + u, kTileQueries, factor, d, D, first);
  load_transposed<Whole>(from + u, kTileQueries, factor, d + kLanes, D, second);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    see(check, i, first[i]);
    see(check, i, second[i]);
    if (u + i >= count) continue;
    if (to_float)
      store_two<float>(rows[u + i], first[i], second[i], d, D);
    else
      store_two<E>(rows[u + i], first[i], second[i], d, D);
  }
}

template <class E>
bool unpack_lanes(const float* from, const float* factor, int count, int D, char* const* rows, bool to_float) {
  FiniteCheck check = nothing_seen();
  for (int u = 0; u < count; u += kLanes) {
    const F scale = load(factor + u);
    int d = 0;
    for (; D - d >= 2 * kLanes; d += 2 * kLanes)
      unpack_block<E, true>(from, scale, u, d, count, D, rows, to_float, check);
    if (d < D) unpack_block<E, false>(from, scale, u, d, count, D, rows, to_float, check);
  }
  return all_finite(check);
}

// Sums between sweeps, exactly: see AttentionKernels::store_sums.
template <class E>
void store_sums(const float* from, int D, char* high, char* low) {
  if constexpr (sizeof(E) == 4) {
    std::memcpy(high, from, static_cast<std::size_t>(D) * sizeof(float));
  } else {
    auto *upper = reinterpret_cast<std::uint16_t*>(high), *lower = reinterpret_cast<std::uint16_t*>(low);
    for (int d = 0; d < D; d += 2 * kLanes)
      store_halves(upper + d, lower + d, load_partial(from + d, D - d), load_partial(from + d + kLanes, D - d - kLanes),
                   D - d);
  }
}

// Channels d .. d + 2 * kLanes - 1 of them, 0 past D.
template <class E>
LONGSTRIDE_INLINE void load_two_sums(const char* high, const char* low, int d, int D, F& first, F& second) {
  if constexpr (sizeof(E) == 4) {
    const float* from = reinterpret_cast<const float*>(high) + d;
    first = load_partial(from, D - d);
    second = load_partial(from + kLanes, D - d - kLanes);
  } else {
    P words[2];
    interleave_bf16(reinterpret_cast<const std::uint16_t*>(low) + d, reinterpret_cast<const std::uint16_t*>(high) + d,
                    D - d, words[0], words[1]);
    first = as_floats(words[0]);
    second = as_floats(words[1]);
  }
}

template <class E>
void load_sums(const char* high, const char* low, int D, float* to) {
  for (int d = 0; d < D; d += 2 * kLanes) {
    F first, second;
    load_two_sums<E>(high, low, d, D, first, second);
    store_two<float>(reinterpret_cast<char*>(to), first, second, d, D);
  }
}

template <class E>
LONGSTRIDE_INLINE F load_elements(const char* row, int d, int count) {
  const E* p = reinterpret_cast<const E*>(row) + d;
  if constexpr (sizeof(E) == 4)
    return load_partial(p, count);
  else
    return load_bf16_partial(p, count);
}

// delta[u] = sum over channels of out * dout.
template <class E>
void output_delta(RowPointers out, RowPointers dout, int count, int Dv, float* delta) {
  for (int u = 0; u < count; u += kLanes) {
    F sums[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      sums[i] = zero();
      for (int d = 0; d < Dv && u + i < count; d += kLanes)
        sums[i] = fma(load_elements<E>(out[u + i], d, Dv - d), load_elements<E>(dout[u + i], d, Dv - d), sums[i]);
    }
    store(delta + u, sum_each(sums));
  }
}

#define LONGSTRIDE_ROW_KERNELS(E)                                                                                      \
  {                                                                                                                    \
    kLanes, kPaired<E>, pack_lanes<E>, pack_rows<E>, pack_pairs<E>, unpack_lanes<E>, pack_lanes<float>, store_sums<E>, \
        load_sums<E>                                                                                                   \
  }
