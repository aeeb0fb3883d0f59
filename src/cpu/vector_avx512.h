// Vector operations, 16 lanes of AVX-512 (LONGSTRIDE_NATIVE_BF16: with its bfloat16 products).
//
// F is kLanes floats, P is kLanes pairs of bfloat16. *_partial touches the first `count` elements in memory, the other
// lanes read as 0. select: lane i takes `yes` where bit i is set. pair rounds to nearest even. dot_pairs adds both
// products of each lane's pair to c; the native instruction flushes subnormals. exp: relative error below 2e-7 (Cephes'
// polynomial), 0 below -87.34, saturates above 88.37, NaN stays NaN. max and min return b where a is NaN or b is NaN.
constexpr int kLanes = 16;
constexpr bool kNativeBf16 = LONGSTRIDE_NATIVE_BF16 != 0;
struct F {
  __m512 v;
};
struct P {
  __m512i v;
};

LONGSTRIDE_INLINE __mmask16 first_lanes(int count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << (count > 0 ? count : 0)) - 1u);
}
LONGSTRIDE_INLINE F zero() { return {_mm512_setzero_ps()}; }
LONGSTRIDE_INLINE F broadcast(float x) { return {_mm512_set1_ps(x)}; }
LONGSTRIDE_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
LONGSTRIDE_INLINE F load_partial(const float* p, int count) { return {_mm512_maskz_loadu_ps(first_lanes(count), p)}; }
LONGSTRIDE_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x.v); }
LONGSTRIDE_INLINE void store_partial(float* p, F x, int count) { _mm512_mask_storeu_ps(p, first_lanes(count), x.v); }
LONGSTRIDE_INLINE F add(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F sub(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F mul(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F div(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
LONGSTRIDE_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
LONGSTRIDE_INLINE F select(std::uint32_t bits, F yes, F no) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>(bits), no.v, yes.v)};
}
LONGSTRIDE_INLINE float sum(F a) { return _mm512_reduce_add_ps(a.v); }
LONGSTRIDE_INLINE float max_of(F a) { return _mm512_reduce_max_ps(a.v); }
LONGSTRIDE_INLINE F widened(__m256i x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16))};
}
LONGSTRIDE_INLINE F load_bf16(const std::uint16_t* p) {
  return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
LONGSTRIDE_INLINE F load_bf16_partial(const std::uint16_t* p, int count) {
  return widened(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
// Rounded bfloat16 of each lane in the low half of it.
LONGSTRIDE_INLINE __m512i rounded_bf16(F x) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd)), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q), up, quiet);
}
LONGSTRIDE_INLINE void store_bf16(std::uint16_t* p, F x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(rounded_bf16(x)));
}
LONGSTRIDE_INLINE void store_bf16_partial(std::uint16_t* p, F x, int count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), _mm512_cvtepi32_epi16(rounded_bf16(x)));
}
// U is kWords words of 32 bits, each in the lower half of 64; the upper halves hold anything. words_from: first + i, in
// an order that words_at_least undoes: bit 4 i + j of that is 1 where word i of the j-th of a, b, c, d is >= least.
// multiply_words: whole products of 64 bits. upper_words: the upper halves.
constexpr int kWords = 8;
struct U {
  __m512i v;
};
LONGSTRIDE_INLINE U word(std::uint32_t x) { return {_mm512_set1_epi64(x)}; }
LONGSTRIDE_INLINE U words_from(std::uint32_t first) {
  return {_mm512_add_epi64(_mm512_set1_epi64(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))};
}
LONGSTRIDE_INLINE U multiply_words(U a, U b) { return {_mm512_mul_epu32(a.v, b.v)}; }
LONGSTRIDE_INLINE U upper_words(U a) { return {_mm512_srli_epi64(a.v, 32)}; }
LONGSTRIDE_INLINE U exclusive_or(U a, U b, U c) { return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)}; }
LONGSTRIDE_INLINE std::uint32_t words_at_least(U a, U b, U c, U d, std::uint32_t least) {
  const __m512i ab = _mm512_mask_blend_epi32(0xaaaa, a.v, _mm512_slli_epi64(b.v, 32));
  const __m512i cd = _mm512_mask_blend_epi32(0xaaaa, c.v, _mm512_slli_epi64(d.v, 32));
  const __m512i limit = _mm512_set1_epi32(static_cast<int>(least));
  const auto low = static_cast<std::uint32_t>(_mm512_cmpge_epu32_mask(_mm512_unpacklo_epi64(ab, cd), limit));
  const auto high = static_cast<std::uint32_t>(_mm512_cmpge_epu32_mask(_mm512_unpackhi_epi64(ab, cd), limit));
  return low | high << 16;
}
LONGSTRIDE_INLINE P load_pairs(const std::uint32_t* p) { return {_mm512_loadu_si512(p)}; }
LONGSTRIDE_INLINE P broadcast_pair(std::uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
LONGSTRIDE_INLINE P pair(F even, F odd) {
  return {_mm512_or_si512(rounded_bf16(even), _mm512_slli_epi32(rounded_bf16(odd), 16))};
}
LONGSTRIDE_INLINE void store_pairs(std::uint32_t* p, P x) { _mm512_storeu_si512(p, x.v); }
LONGSTRIDE_INLINE F dot_pairs(P a, P b, F c) {
#if LONGSTRIDE_NATIVE_BF16
  return {_mm512_dpbf16_ps(c.v, (__m512bh)a.v, (__m512bh)b.v)};
#else
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __m512 odd_a = _mm512_castsi512_ps(_mm512_and_si512(a.v, high));
  const __m512 odd_b = _mm512_castsi512_ps(_mm512_and_si512(b.v, high));
  const __m512 even_a = _mm512_castsi512_ps(_mm512_slli_epi32(a.v, 16));
  const __m512 even_b = _mm512_castsi512_ps(_mm512_slli_epi32(b.v, 16));
  return {_mm512_fmadd_ps(even_a, even_b, _mm512_fmadd_ps(odd_a, odd_b, c.v))};
#endif
}
LONGSTRIDE_INLINE F exp(F x) {
  const __mmask16 tiny = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(-87.336544f), _CMP_LT_OQ);
  const __m512 t = _mm512_max_ps(_mm512_set1_ps(-87.336544f), _mm512_min_ps(_mm512_set1_ps(88.376262f), x.v));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(t, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), t);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 y = _mm512_set1_ps(1.9875691500e-4f);
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.3981999507e-3f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(8.3334519073e-3f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(4.1665795894e-2f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.6666665459e-1f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.0000001201e-1f));
  y = _mm512_fmadd_ps(y, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return {_mm512_maskz_scalef_ps(static_cast<__mmask16>(~tiny), y, n)};
}

// exp2: relative error below 3e-7. exp2_coarse: below 4e-6, for what is rounded to bfloat16 afterwards. Both: 0 where x
// is far below -126, infinity far above 127, NaN stays NaN. log2: absolute error below 2e-7 times the result or 1e-7,
// for normal x > 0; NaN stays NaN. Minimax polynomials on [0, 1) and, for log2(1 + f) / f, on [-1/4, 1/2).
LONGSTRIDE_INLINE F exp2(F x) {
  const __m512 r = _mm512_reduce_ps(x.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
  __m512 y = _mm512_set1_ps(0.0018775767f);
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.008989340024f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.05582631812f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.240153617f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.6931530732f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.9999999251f));
  return {_mm512_scalef_ps(y, x.v)};  // y * 2^floor(x)
}
LONGSTRIDE_INLINE F exp2_coarse(F x) {
  const __m512 r = _mm512_reduce_ps(x.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 y = _mm512_set1_ps(0.01353416806f);
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.0520114603f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.2414427571f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0.6930038344f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.000002593f));
  return {_mm512_scalef_ps(y, x.v)};
}
LONGSTRIDE_INLINE F log2(F x) {
  const __m512 one = _mm512_set1_ps(1);
  const __m512 m = _mm512_getmant_ps(x.v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
  __m512 e = _mm512_getexp_ps(x.v);
  e = _mm512_mask_add_ps(e, _mm512_cmp_ps_mask(m, one, _CMP_LT_OQ), e, one);
  const __m512 f = _mm512_sub_ps(m, one);
  __m512 y = _mm512_set1_ps(0.07806672678f);
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(-0.1742302188f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(0.2163248632f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(-0.2427235189f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(0.2881915047f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(-0.3605759219f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(0.4809020805f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(-0.7213484784f));
  y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(1.442695032f));
  return {_mm512_fmadd_ps(y, f, e)};
}
// True if a > b in a lane; NaN is not.
LONGSTRIDE_INLINE bool any_above(F a, F b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ) != 0; }
// As pair, for what goes into dot_pairs: subnormals may become 0.
LONGSTRIDE_INLINE P operand_pair(F even, F odd) {
#if LONGSTRIDE_NATIVE_BF16
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return {_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd.v, even.v))};
#else
  return pair(even, odd);
#endif
}
// Pairs of neighbouring lanes: lanes 0 and 1 of a in the first pair, ..., the last two of b in the last.
LONGSTRIDE_INLINE P operand_neighbours(F a, F b) {
#if LONGSTRIDE_NATIVE_BF16
  return {(__m512i)_mm512_cvtne2ps_pbh(b.v, a.v)};
#else
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(rounded_bf16(a))),
                                          _mm512_cvtepi32_epi16(rounded_bf16(b)), 1);
  return {both};
#endif
}
// The first `count` elements of two rows, element by element: pairs (even[i], odd[i]), 0 past the end; the first kLanes
// of them in low, kLanes more in high.
LONGSTRIDE_INLINE void interleave_bf16(const std::uint16_t* even, const std::uint16_t* odd, int count, P& low,
                                       P& high) {
  const __mmask32 some = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << (count > 0 ? count : 0)) - 1;
  const __m512i a = _mm512_maskz_loadu_epi16(some, even), b = _mm512_maskz_loadu_epi16(some, odd);
  const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,  //
                                         39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  low = {_mm512_permutex2var_epi16(a, first, b)};
  high = {_mm512_permutex2var_epi16(a, _mm512_add_epi16(first, _mm512_set1_epi16(16)), b)};
}
// The first `count` of the 2 * kLanes elements of a, then b, as bfloat16; subnormals may become 0.
LONGSTRIDE_INLINE void store_bf16_twice(std::uint16_t* p, F a, F b, int count) {
  const __mmask32 some = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << (count > 0 ? count : 0)) - 1;
  _mm512_mask_storeu_epi16(p, some, operand_neighbours(a, b).v);
}
// Bits of the first `count` of the 2 * kLanes elements of a, then b, cut in halves; interleave_bf16(low, high, ...) is
// the reverse.
LONGSTRIDE_INLINE void store_halves(std::uint16_t* high, std::uint16_t* low, F a, F b, int count) {
  const __mmask32 some = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << (count > 0 ? count : 0)) - 1;
  const __m512i even = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32,  //
                                        30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
  const __m512i first = _mm512_castps_si512(a.v), second = _mm512_castps_si512(b.v);
  _mm512_mask_storeu_epi16(low, some, _mm512_permutex2var_epi16(first, even, second));
  _mm512_mask_storeu_epi16(high, some, _mm512_permutex2var_epi16(first, odd, second));
}
// rows: kLanes of them. Row i, lane j becomes row j, lane i.
LONGSTRIDE_INLINE void transpose(F* rows) {
  __m512 a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    a[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const __m512d low = _mm512_castps_pd(a[i + j]), high = _mm512_castps_pd(a[i + j + 2]);
      b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
#pragma GCC unroll 2
    for (int i = 0; i < 16; i += 8) {
      a[i + j] = _mm512_shuffle_f32x4(b[i + j], b[i + j + 4], 0x88);
      a[i + j + 4] = _mm512_shuffle_f32x4(b[i + j], b[i + j + 4], 0xdd);
    }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    rows[j].v = _mm512_shuffle_f32x4(a[j], a[j + 8], 0x88);
    rows[j + 8].v = _mm512_shuffle_f32x4(a[j], a[j + 8], 0xdd);
  }
}
// Quarters 0 + 1 and 2 + 3 of x, then of y.
LONGSTRIDE_INLINE __m512 sum_quarters(__m512 x, __m512 y) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
}
// rows: kLanes of them. The sum of row i in lane i; of each row in the same order.
LONGSTRIDE_INLINE F sum_each(const F* rows) {
  __m512 a[8], b[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    a[i] = _mm512_add_ps(_mm512_unpacklo_ps(rows[2 * i].v, rows[2 * i + 1].v),
                         _mm512_unpackhi_ps(rows[2 * i].v, rows[2 * i + 1].v));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d first = _mm512_castps_pd(a[2 * i]), second = _mm512_castps_pd(a[2 * i + 1]);
    b[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(first, second)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(first, second)));
  }
  return {sum_quarters(sum_quarters(b[0], b[1]), sum_quarters(b[2], b[3]))};
}
// The first `count` elements as pairs of neighbours, two a lane, the others 0: bits to move, not numbers.
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p, int count) {
  const __mmask32 some = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << (count > 0 ? count : 0)) - 1;
  return {_mm512_castsi512_ps(_mm512_maskz_loadu_epi16(some, p))};
}
// 2 * kLanes of them; p need not be aligned for a pair.
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p) { return {_mm512_loadu_ps(p)}; }
// Bits of what load_bf16_neighbours has loaded, as pairs.
LONGSTRIDE_INLINE P as_pairs(F x) { return {_mm512_castps_si512(x.v)}; }
LONGSTRIDE_INLINE F as_floats(P x) { return {_mm512_castsi512_ps(x.v)}; }
// The reverse of load_bf16_neighbours: the first `count` elements.
LONGSTRIDE_INLINE void store_bf16_neighbours(std::uint16_t* p, F x, int count) {
  const __mmask32 some = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << (count > 0 ? count : 0)) - 1;
  _mm512_mask_storeu_epi16(p, some, _mm512_castps_si512(x.v));
}
// Lane by lane the two lower halves of a and b in `low`, the two upper ones in `high`; a's come first.
LONGSTRIDE_INLINE void halves_of(P a, P b, P& low, P& high) {
  low = {_mm512_mask_blend_epi16(0xaaaaaaaa, a.v, _mm512_slli_epi32(b.v, 16))};
  high = {_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a.v, 16), b.v)};
}
