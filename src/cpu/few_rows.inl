// A block of kLanes outputs at a time. A word is a float, or a pair of neighbouring bfloat16; sums of an element run
// over words in ascending order, however they are computed: few rows with an output a lane, for which words of kLanes
// rows of W are transposed in registers; more rows with a row a lane, where the words of W are broadcast as they lie.
#include "cpu/typed.inl"

// Rows of x whose sums are in registers at a time.
constexpr int kMostSums = kLanes == 16 ? 16 : 8;

LONGSTRIDE_INLINE F words_of(const void* row, std::int64_t word, std::int64_t K, bool bf16) {
  if (!bf16) return load_up_to(row, word, K - word < kLanes ? static_cast<int>(K - word) : kLanes, false);
  const std::uint16_t* p = static_cast<const std::uint16_t*>(row) + 2 * word;
  const std::int64_t left = K - 2 * word;
  return left >= 2 * kLanes ? load_bf16_neighbours(p) : load_bf16_neighbours(p, static_cast<int>(left));
}

// to[word * rows + r] = word of row r: what a word of W is multiplied with lies together. Zeros up to a whole vector.
LONGSTRIDE_INLINE void gather_words(const FewRows& op, std::int64_t first, int rows, bool bf16, float* to) {
  const std::int64_t words = bf16 ? (op.K + 1) / 2 : op.K, size = bf16 ? 2 : 4;
  for (std::int64_t word = 0; word < words; word += kLanes) {
    for (int from = 0; from < rows; from += kLanes) {
      F block[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int r = from + i < rows ? from + i : rows - 1;
        block[i] = words_of(static_cast<const char*>(op.x) + (first + r) * op.x_stride * size, word, op.K, bf16);
      }
      if (rows == 1) {
        store(to + word, block[0]);
        continue;
      }
      transpose(block);
      // Lanes past `rows` are overwritten by the next word's.
      for (int i = 0; i < kLanes; ++i) store(to + (word + i) * rows + from, block[i]);
    }
  }
}

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

// Where the weights begin that are asked for while block m is computed: the next block, which begins where this one
// ends, or what comes after the last one.
LONGSTRIDE_INLINE const char* weights_ahead(const FewRows& op, const char* w, std::int64_t m, std::int64_t row_bytes) {
  const bool last = op.next != nullptr && m + kLanes >= op.end;
  return last ? static_cast<const char*>(op.next) : w + kLanes * row_bytes;
}

// x: words of kRows rows, gathered.
template <int kRows, bool kBf16>
LONGSTRIDE_INLINE void output_lanes_block(const FewRows& op, const float* x, std::int64_t first, std::int64_t m) {
  constexpr std::int64_t kSize = kBf16 ? 2 : 4;
  const std::int64_t words = kBf16 ? (op.K + 1) / 2 : op.K, row_bytes = op.w_stride * kSize;
  const char* w = static_cast<const char*>(op.w) + m * row_bytes;
  const char* ahead = weights_ahead(op, w, m, row_bytes);
  F sums[kRows];
  for (int n = 0; n < kRows; ++n) sums[n] = zero();
  for (std::int64_t word = 0; word < words; word += kLanes) {
    F block[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const std::int64_t row = m + i < op.M ? i : op.M - 1 - m;
      block[i] = words_of(w + row * row_bytes, word, op.K, kBf16);
      if (kLanes == 16) __builtin_prefetch(ahead + (word + i) * 64, 0, 2);
    }
    transpose(block);
    const int here = words - word < kLanes ? static_cast<int>(words - word) : kLanes;
    const float* of_x = x + word * kRows;
    for (int i = 0; i < here; ++i) {
      for (int n = 0; n < kRows; ++n) {
        if (kBf16) {
          std::uint32_t pair;
          std::memcpy(&pair, of_x + i * kRows + n, sizeof pair);
          sums[n] = dot_pairs(as_pairs(block[i]), broadcast_pair(pair), sums[n]);
        } else {
          sums[n] = fma(block[i], broadcast(of_x[i * kRows + n]), sums[n]);
        }
      }
    }
  }
  for (int n = 0; n < kRows; ++n) finish_rows(op, first + n, m, sums[n]);
}

// sum + x * a word of W. kHalf: of its pair there is only the first.
template <bool kBf16, bool kHalf>
LONGSTRIDE_INLINE F add_word(F x, const char* word, F sum) {
  if (kBf16) {
    std::uint32_t pair = 0;
    std::memcpy(&pair, word, kHalf ? 2 : 4);
    return dot_pairs(as_pairs(x), broadcast_pair(pair), sum);
  }
  float value;
  std::memcpy(&value, word, sizeof value);
  return fma(x, broadcast(value), sum);
}

// The same with a row a lane; lanes past kRows hold anything.
template <int kRows, bool kBf16>
LONGSTRIDE_INLINE void row_lanes_block(const FewRows& op, const float* x, std::int64_t first, std::int64_t m) {
  constexpr std::int64_t kSize = kBf16 ? 2 : 4;
  const std::int64_t whole_words = kBf16 ? op.K / 2 : op.K, row_bytes = op.w_stride * kSize;
  const char* w = static_cast<const char*>(op.w) + m * row_bytes;
  const char* ahead = weights_ahead(op, w, m, row_bytes);
  F sums[kLanes];
  for (int i = 0; i < kLanes; ++i) sums[i] = zero();
  const char* rows[kLanes];
  for (int i = 0; i < kLanes; ++i) rows[i] = w + (m + i < op.M ? i : op.M - 1 - m) * row_bytes;
  for (std::int64_t word = 0; word < whole_words; ++word) {
    if (kLanes == 16) __builtin_prefetch(ahead + word * 64, 0, 2);
    const F of_x = load(x + word * kRows);
    for (int i = 0; i < kLanes; ++i) sums[i] = add_word<kBf16, false>(of_x, rows[i] + 4 * word, sums[i]);
  }
  if (kBf16 && op.K % 2 != 0) {
    const F of_x = load(x + whole_words * kRows);
    for (int i = 0; i < kLanes; ++i) sums[i] = add_word<true, true>(of_x, rows[i] + 4 * whole_words, sums[i]);
  }
  transpose(sums);
  for (int n = 0; n < kRows; ++n) finish_rows(op, first + n, m, sums[n]);
}

template <int kRows, bool kBf16>
void few_rows_group(const FewRows& op, std::int64_t first) {
  gather_words(op, first, kRows, kBf16, op.scratch);
  for (std::int64_t m = op.begin; m < op.end; m += kLanes) {
    if constexpr (2 * kRows > kLanes && kRows <= kLanes) {
      row_lanes_block<kRows, kBf16>(op, op.scratch, first, m);
    } else {
      output_lanes_block<kRows, kBf16>(op, op.scratch, first, m);
    }
  }
}

template <bool kBf16>
void few_rows_of(const FewRows& op) {
  using Group = void (*)(const FewRows&, std::int64_t);
  static constexpr Group kGroups[] = {
      few_rows_group<1, kBf16>,  few_rows_group<2, kBf16>,  few_rows_group<3, kBf16>,  few_rows_group<4, kBf16>,
      few_rows_group<5, kBf16>,  few_rows_group<6, kBf16>,  few_rows_group<7, kBf16>,  few_rows_group<8, kBf16>,
      few_rows_group<9, kBf16>,  few_rows_group<10, kBf16>, few_rows_group<11, kBf16>, few_rows_group<12, kBf16>,
      few_rows_group<13, kBf16>, few_rows_group<14, kBf16>, few_rows_group<15, kBf16>, few_rows_group<16, kBf16>};
  std::int64_t groups = (op.N + kMostSums - 1) / kMostSums;
  for (std::int64_t n = 0; n < op.N; --groups) {
    const std::int64_t rows = (op.N - n + groups - 1) / groups;
    kGroups[rows - 1](op, n);
    n += rows;
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
