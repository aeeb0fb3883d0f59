// C (rows, cols) = or += A (rows, depth) * B (depth, cols), small enough for the nearest caches: elements of A are
// broadcast against vectors of B, sums stay in registers. A word is a float, or (Paired) a pair of bfloat16 neighbours
// in depth whose two products are added.
//
// AcrossDepth: A lies transposed, element (m, k) at a[k * a_stride + m]; else at a[m * a_stride + k].
// cols: a multiple of kLanes.
#include "cpu/typed.inl"

struct Product {
  const float* a;
  std::int64_t a_stride;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  int rows, cols, depth;
  bool add;  // to what C holds
};

// Sums of rows x vectors fit the registers beside a row of B and one broadcast: 16 of AVX2, 32 of AVX-512.
constexpr int kMostVectors = kLanes == 8 ? 2 : 4;
constexpr int rows_at_once(int vectors) {
  return kLanes == 16 ? (vectors >= 3 ? 24 / vectors : 12) : kLanes == 8 ? 6 : 3;
}

template <bool Paired>
LONGSTRIDE_INLINE auto load_words(const float* p) {
  if constexpr (Paired)
    return load_pairs(reinterpret_cast<const std::uint32_t*>(p));
  else
    return load(p);
}
template <bool Paired>
LONGSTRIDE_INLINE auto broadcast_word(const float* p) {
  if constexpr (Paired) {
    std::uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return broadcast_pair(word);
  } else {
    return broadcast(*p);
  }
}
template <bool Paired, bool AcrossDepth, int Rows, int Vectors>
LONGSTRIDE_INLINE void product_block(const Product& p, const float* a, const float* b, float* c) {
  const std::int64_t a_stride = p.a_stride, b_stride = p.b_stride, c_stride = p.c_stride;
  const int depth = p.depth;
  F sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[m][v] = p.add ? load(c + m * c_stride + v * kLanes) : zero();
  for (int k = 0; k < depth; ++k) {
    decltype(load_words<Paired>(b)) row[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) row[v] = load_words<Paired>(b + v * kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      const auto word = broadcast_word<Paired>(AcrossDepth ? a + m : a + m * a_stride);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[m][v] = multiply_add(word, row[v], sum[m][v]);
    }
    a += AcrossDepth ? a_stride : 1;
    b += b_stride;
  }
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(c + m * c_stride + v * kLanes, sum[m][v]);
}

template <bool Paired, bool AcrossDepth, int Vectors>
void product_panel(const Product& p, const float* b, float* c) {
  constexpr int kRows = rows_at_once(Vectors);
  const std::int64_t step = AcrossDepth ? 1 : p.a_stride;
  const float* a = p.a;
  int left = p.rows;
  for (; left >= kRows; left -= kRows, a += kRows * step, c += kRows * p.c_stride)
    product_block<Paired, AcrossDepth, kRows, Vectors>(p, a, b, c);
  for (; kRows > 4 && left >= 4; left -= 4, a += 4 * step, c += 4 * p.c_stride)
    product_block<Paired, AcrossDepth, 4, Vectors>(p, a, b, c);
  for (; left >= 2; left -= 2, a += 2 * step, c += 2 * p.c_stride)
    product_block<Paired, AcrossDepth, 2, Vectors>(p, a, b, c);
  if (left > 0) product_block<Paired, AcrossDepth, 1, Vectors>(p, a, b, c);
}

template <bool Paired, bool AcrossDepth>
void product(const Product& p) {
  if (p.rows <= 0) return;
  int col = 0;
  for (; p.cols - col >= kMostVectors * kLanes; col += kMostVectors * kLanes)
    product_panel<Paired, AcrossDepth, kMostVectors>(p, p.b + col, p.c + col);
  const int vectors = (p.cols - col) / kLanes;
  if (kMostVectors > 3 && vectors == 3) product_panel<Paired, AcrossDepth, 3>(p, p.b + col, p.c + col);
  if (kMostVectors > 2 && vectors == 2) product_panel<Paired, AcrossDepth, 2>(p, p.b + col, p.c + col);
  if (vectors == 1) product_panel<Paired, AcrossDepth, 1>(p, p.b + col, p.c + col);
}
