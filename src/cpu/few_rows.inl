// A block of kLanes outputs at a time. A word is a float, or a pair of neighbouring bfloat16. Lane l of an element's
// sum takes every kLanes-th word from l on, in ascending order; then its lanes are added (sum_each): however many rows
// there are, and whichever of them go on together. As many sums are in registers at a time as there are lanes.
#include "cpu/typed.inl"

LONGSTRIDE_INLINE void finish_rows(const FewRows& op, std::int64_t n, std::int64_t m, F sum) {
  const int lanes = lanes_left(m, op.M);
  if (op.bias != nullptr) sum = add(sum, load_up_to(op.bias, m, lanes, false));
  if (op.pre != nullptr) store_up_to(op.pre, n * op.pre_stride + m, sum, lanes, op.bf16);
  if (op.activates) {
    const F e = exp(mul(sum, broadcast(-1.702f)));
    sum = div(sum, add(broadcast(1), e));
  }
  store_up_to(op.y, n * op.y_stride + m, sum, lanes, op.y_bf16);
}

// The vector of words from element k on; zeros past K where it is not whole.
template <bool kBf16, bool kWhole>
LONGSTRIDE_INLINE auto words_of(const char* row, std::int64_t k, std::int64_t K) {
  if constexpr (kBf16) {
    const auto* p = reinterpret_cast<const std::uint16_t*>(row) + k;
    return as_pairs(kWhole ? load_bf16_neighbours(p) : load_bf16_neighbours(p, static_cast<int>(K - k)));
  } else {
    const auto* p = reinterpret_cast<const float*>(row) + k;
    return kWhole ? load(p) : load_partial(p, static_cast<int>(K - k));
  }
}

// What one vector of words from k on adds to the sums of kRows rows of x and kOutputs of w: sums[r * kOutputs + o].
template <int kRows, int kOutputs, bool kBf16, bool kWhole>
LONGSTRIDE_INLINE void add_vector(const char* x, std::int64_t x_bytes, const char* w, std::int64_t w_bytes,
                                  std::int64_t k, std::int64_t K, F* sums) {
  decltype(words_of<kBf16, kWhole>(x, k, K)) of_x[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) of_x[r] = words_of<kBf16, kWhole>(x + r * x_bytes, k, K);
#pragma GCC unroll 4
  for (int o = 0; o < kOutputs; ++o) {
    const auto of_w = words_of<kBf16, kWhole>(w + o * w_bytes, k, K);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) sums[r * kOutputs + o] = multiply_add(of_w, of_x[r], sums[r * kOutputs + o]);
  }
}

// Sums of kRows rows of x from row n on and kOutputs outputs from m on, lane by lane. ahead: as many bytes as the
// weights of these outputs are asked for from there on, in order; nullptr: nothing is.
template <int kRows, int kOutputs, bool kBf16>
LONGSTRIDE_INLINE void multiply(const FewRows& op, std::int64_t n, std::int64_t m, const char* ahead, F* sums) {
  constexpr std::int64_t kSize = kBf16 ? 2 : 4, kVector = kBf16 ? 2 * kLanes : kLanes;
  const std::int64_t x_bytes = op.x_stride * kSize, w_bytes = op.w_stride * kSize;
  const char *x = static_cast<const char*>(op.x) + n * x_bytes, *w = static_cast<const char*>(op.w) + m * w_bytes;
#pragma GCC unroll 16
  for (int i = 0; i < kRows * kOutputs; ++i) sums[i] = zero();
  std::int64_t k = 0;
  for (; op.K - k >= kVector; k += kVector) {
    for (int o = 0; o < kOutputs && ahead != nullptr; ++o, ahead += kVector * kSize) __builtin_prefetch(ahead, 0, 2);
    add_vector<kRows, kOutputs, kBf16, true>(x, x_bytes, w, w_bytes, k, op.K, sums);
  }
  if (k < op.K) add_vector<kRows, kOutputs, kBf16, false>(x, x_bytes, w, w_bytes, k, op.K, sums);
}

// The block of outputs from m on of one row: weights are read in the order in which they lie, which memory likes best.
template <bool kBf16>
LONGSTRIDE_INLINE void multiply_row(const FewRows& op, std::int64_t n, std::int64_t m, const char* ahead,
                                    float* totals) {
  const std::int64_t row_bytes = op.w_stride * (kBf16 ? 2 : 4);
  F sums[kLanes];
#pragma GCC unroll 16
  for (int o = 0; o < kLanes; ++o) {
    sums[o] = zero();
    if (m + o < op.M) multiply<1, 1, kBf16>(op, n, m + o, ahead, sums + o);
    if (ahead != nullptr) ahead += row_bytes;
  }
  store(totals + n * kLanes, sum_each(sums));
}

// The same of kRows rows, some outputs at a time.
template <int kRows, bool kBf16>
LONGSTRIDE_INLINE void multiply_rows(const FewRows& op, std::int64_t n, std::int64_t m, int o, const char* ahead,
                                     float* totals) {
  constexpr int kOutputs = kLanes / kRows;
  F sums[kLanes];
  multiply<kRows, kOutputs, kBf16>(op, n, m + o, ahead, sums);
  float of_lanes[kLanes];
  store(of_lanes, sum_each(sums));
  for (int r = 0; r < kRows; ++r)
    std::memcpy(totals + (n + r) * kLanes + o, of_lanes + r * kOutputs, kOutputs * sizeof(float));
}

// Rows [n, n + kRows), and as many more as there are groups of them: where they end.
template <int kRows, bool kBf16>
LONGSTRIDE_INLINE std::int64_t multiply_groups(const FewRows& op, std::int64_t n, std::int64_t m, const char* ahead,
                                               float* totals) {
  const std::int64_t end = n + (op.N - n) / kRows * kRows, row_bytes = op.w_stride * (kBf16 ? 2 : 4);
  for (int o = 0; o < kLanes; o += kLanes / kRows)
    for (std::int64_t r = n; r < end; r += kRows)
      multiply_rows<kRows, kBf16>(op, r, m, o, r == 0 && ahead != nullptr ? ahead + o * row_bytes : nullptr, totals);
  return end;
}

// What is asked for while block m is computed; of one row the processor sees itself what comes next.
LONGSTRIDE_INLINE const char* weights_ahead(const FewRows& op, std::int64_t m, std::int64_t size) {
  if (kLanes < 16) return nullptr;
  if (op.next != nullptr && m + kLanes >= op.end) return static_cast<const char*>(op.next);
  return op.N == 1 ? nullptr : static_cast<const char*>(op.w) + (m + kLanes) * op.w_stride * size;
}

template <bool kBf16>
void few_rows_of(const FewRows& op) {
  float* totals = op.scratch;
  for (std::int64_t m = op.begin; m < op.end; m += kLanes) {
    const char* ahead = weights_ahead(op, m, kBf16 ? 2 : 4);
    std::int64_t n = 0;
    if constexpr (kLanes > 1) {
      if (op.M - m >= kLanes) {
        n = multiply_groups<4, kBf16>(op, n, m, ahead, totals);
        n = multiply_groups<2, kBf16>(op, n, m, ahead, totals);
      }
    }
    for (; n < op.N; ++n) multiply_row<kBf16>(op, n, m, n == 0 ? ahead : nullptr, totals);
    for (n = 0; n < op.N; ++n) finish_rows(op, n, m, load(totals + n * kLanes));
  }
}

static void few_rows(const FewRows& op) {
  if (op.bf16) {
    few_rows_of<true>(op);
  } else {
    few_rows_of<false>(op);
  }
}

static const FewRowsKernel kFewRowsKernel = {kLanes, few_rows};
