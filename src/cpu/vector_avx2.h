// Vector operations, 8 lanes of AVX2 with FMA. See vector_avx512.h for what each means.
constexpr int kLanes = 8;
constexpr bool kNativeBf16 = false;
struct F {
  __m256 v;
};
struct P {
  __m256i v;
};

LONGSTRIDE_INLINE __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LONGSTRIDE_INLINE F zero() { return {_mm256_setzero_ps()}; }
LONGSTRIDE_INLINE F broadcast(float x) { return {_mm256_set1_ps(x)}; }
LONGSTRIDE_INLINE F load(const float* p) { return {_mm256_loadu_ps(p)}; }
LONGSTRIDE_INLINE F load_partial(const float* p, int count) { return {_mm256_maskload_ps(p, first_lanes(count))}; }
LONGSTRIDE_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x.v); }
LONGSTRIDE_INLINE void store_partial(float* p, F x, int count) { _mm256_maskstore_ps(p, first_lanes(count), x.v); }
LONGSTRIDE_INLINE F add(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F sub(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F mul(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F div(F a, F b) { return {_mm256_div_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
LONGSTRIDE_INLINE F max(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F min(F a, F b) { return {_mm256_min_ps(a.v, b.v)}; }
LONGSTRIDE_INLINE F sqrt(F a) { return {_mm256_sqrt_ps(a.v)}; }
LONGSTRIDE_INLINE F select(std::uint32_t bits, F yes, F no) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane), lane);
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_castsi256_ps(set))};
}
LONGSTRIDE_INLINE float sum(F a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
LONGSTRIDE_INLINE float max_of(F a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
LONGSTRIDE_INLINE F load_bf16(const std::uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}
LONGSTRIDE_INLINE F load_bf16_partial(const std::uint16_t* p, int count) {
  std::uint16_t lanes[8] = {};
  for (int i = 0; i < count && i < 8; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}
// Rounded bfloat16 of each lane in the low half of it.
LONGSTRIDE_INLINE __m256i rounded_bf16(F x) {
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd)), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(up, quiet, nan);
}
LONGSTRIDE_INLINE void store_bf16(std::uint16_t* p, F x) {
  const __m256i r = rounded_bf16(x);
  const __m128i narrow = _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow);
}
LONGSTRIDE_INLINE void store_bf16_partial(std::uint16_t* p, F x, int count) {
  std::uint16_t lanes[8];
  store_bf16(lanes, x);
  for (int i = 0; i < count && i < 8; ++i) p[i] = lanes[i];
}
constexpr int kWords = 4;
struct U {
  __m256i v;
};
LONGSTRIDE_INLINE U word(std::uint32_t x) { return {_mm256_set1_epi64x(x)}; }
LONGSTRIDE_INLINE U words_from(std::uint32_t first) {
  return {_mm256_add_epi64(_mm256_set1_epi64x(first), _mm256_setr_epi64x(0, 2, 1, 3))};
}
LONGSTRIDE_INLINE U multiply_words(U a, U b) { return {_mm256_mul_epu32(a.v, b.v)}; }
LONGSTRIDE_INLINE U upper_words(U a) { return {_mm256_srli_epi64(a.v, 32)}; }
LONGSTRIDE_INLINE U exclusive_or(U a, U b, U c) { return {_mm256_xor_si256(_mm256_xor_si256(a.v, b.v), c.v)}; }
LONGSTRIDE_INLINE std::uint32_t words_at_least(U a, U b, U c, U d, std::uint32_t least) {
  const __m256i ab = _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xaa);
  const __m256i cd = _mm256_blend_epi32(c.v, _mm256_slli_epi64(d.v, 32), 0xaa);
  const auto bits = [least](__m256i x) {
    const __m256i larger = _mm256_max_epu32(x, _mm256_set1_epi32(static_cast<int>(least)));
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(larger, x))));
  };
  return bits(_mm256_unpacklo_epi64(ab, cd)) | bits(_mm256_unpackhi_epi64(ab, cd)) << 8;
}
LONGSTRIDE_INLINE P load_pairs(const std::uint32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
LONGSTRIDE_INLINE P broadcast_pair(std::uint32_t x) { return {_mm256_set1_epi32(static_cast<int>(x))}; }
LONGSTRIDE_INLINE P pair(F even, F odd) {
  return {_mm256_or_si256(rounded_bf16(even), _mm256_slli_epi32(rounded_bf16(odd), 16))};
}
LONGSTRIDE_INLINE void store_pairs(std::uint32_t* p, P x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.v); }
LONGSTRIDE_INLINE F dot_pairs(P a, P b, F c) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  const __m256 odd_a = _mm256_castsi256_ps(_mm256_and_si256(a.v, high));
  const __m256 odd_b = _mm256_castsi256_ps(_mm256_and_si256(b.v, high));
  const __m256 even_a = _mm256_castsi256_ps(_mm256_slli_epi32(a.v, 16));
  const __m256 even_b = _mm256_castsi256_ps(_mm256_slli_epi32(b.v, 16));
  return {_mm256_fmadd_ps(even_a, even_b, _mm256_fmadd_ps(odd_a, odd_b, c.v))};
}
LONGSTRIDE_INLINE F exp(F x) {
  const __m256 tiny = _mm256_cmp_ps(x.v, _mm256_set1_ps(-87.336544f), _CMP_LT_OQ);
  const __m256 t = _mm256_max_ps(_mm256_set1_ps(-87.336544f), _mm256_min_ps(_mm256_set1_ps(88.376262f), x.v));
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(t, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), t);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4f), r);
  __m256 y = _mm256_set1_ps(1.9875691500e-4f);
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.3981999507e-3f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(8.3334519073e-3f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(4.1665795894e-2f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.6666665459e-1f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.0000001201e-1f));
  y = _mm256_fmadd_ps(y, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  // 2^n in two factors, n / 2 and the rest: each has an exponent in range for n in [-126, 128].
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i one = _mm256_set1_epi32(127);
  y = _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23)));
  y = _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23)));
  y = _mm256_andnot_ps(tiny, y);
  return {_mm256_blendv_ps(y, x.v, _mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q))};
}

// x = n + r with n = floor(x): polynomial(r) * 2^n in two factors, as in exp.
LONGSTRIDE_INLINE F scaled_by_floor(__m256 y, __m256 n, __m256 x) {
  const __m256 bounded = _mm256_max_ps(_mm256_set1_ps(-126), _mm256_min_ps(_mm256_set1_ps(128), n));
  const __m256i whole = _mm256_cvtps_epi32(bounded);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i one = _mm256_set1_epi32(127);
  y = _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23)));
  y = _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23)));
  y = _mm256_andnot_ps(_mm256_cmp_ps(n, _mm256_set1_ps(-126), _CMP_LT_OQ), y);
  y = _mm256_blendv_ps(y, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(n, _mm256_set1_ps(128), _CMP_GT_OQ));
  return {_mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q))};
}
LONGSTRIDE_INLINE F exp2(F x) {
  const __m256 n = _mm256_floor_ps(x.v);
  const __m256 r = _mm256_sub_ps(x.v, n);
  __m256 y = _mm256_set1_ps(0.0018775767f);
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.008989340024f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.05582631812f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.240153617f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.6931530732f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.9999999251f));
  return scaled_by_floor(y, n, x.v);
}
LONGSTRIDE_INLINE F exp2_coarse(F x) {
  const __m256 n = _mm256_floor_ps(x.v);
  const __m256 r = _mm256_sub_ps(x.v, n);
  __m256 y = _mm256_set1_ps(0.01353416806f);
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.0520114603f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.2414427571f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0.6930038344f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.000002593f));
  return scaled_by_floor(y, n, x.v);
}
LONGSTRIDE_INLINE F log2(F x) {
  const __m256i from = _mm256_set1_epi32(0x3f400000);  // 0.75: mantissas in [0.75, 1.5)
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i e = _mm256_srai_epi32(_mm256_sub_epi32(bits, from), 23);
  const __m256 f =
      _mm256_sub_ps(_mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(e, 23))), _mm256_set1_ps(1));
  __m256 y = _mm256_set1_ps(0.07806672678f);
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(-0.1742302188f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(0.2163248632f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(-0.2427235189f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(0.2881915047f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(-0.3605759219f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(0.4809020805f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(-0.7213484784f));
  y = _mm256_fmadd_ps(y, f, _mm256_set1_ps(1.442695032f));
  y = _mm256_fmadd_ps(y, f, _mm256_cvtepi32_ps(e));
  return {_mm256_blendv_ps(y, x.v, _mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q))};
}
LONGSTRIDE_INLINE bool any_above(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)) != 0; }
LONGSTRIDE_INLINE P operand_pair(F even, F odd) { return pair(even, odd); }
LONGSTRIDE_INLINE P operand_neighbours(F a, F b) {
  const __m256i mixed = _mm256_packus_epi32(rounded_bf16(a), rounded_bf16(b));  // quarters a0 b0 a1 b1
  return {_mm256_permute4x64_epi64(mixed, 0xd8)};
}
LONGSTRIDE_INLINE void interleave_bf16(const std::uint16_t* even, const std::uint16_t* odd, int count, P& low,
                                       P& high) {
  if (count >= 16) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(even));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd));
    const __m256i lower = _mm256_unpacklo_epi16(a, b), upper = _mm256_unpackhi_epi16(a, b);
    low = {_mm256_permute2x128_si256(lower, upper, 0x20)};
    high = {_mm256_permute2x128_si256(lower, upper, 0x31)};
    return;
  }
  std::uint32_t pairs[16] = {};
  for (int i = 0; i < count && i < 16; ++i) pairs[i] = even[i] | static_cast<std::uint32_t>(odd[i]) << 16;
  low = load_pairs(pairs);
  high = load_pairs(pairs + 8);
}
LONGSTRIDE_INLINE void store_bf16_twice(std::uint16_t* p, F a, F b, int count) {
  if (count >= 16) {
    store_bf16(p, a);
    store_bf16(p + 8, b);
  } else {
    store_bf16_partial(p, a, count);
    if (count > 8) store_bf16_partial(p + 8, b, count - 8);
  }
}
// The lower halves of the words of x, then of y; the upper ones are 0.
LONGSTRIDE_INLINE void store_lower(std::uint16_t* p, __m256i x, __m256i y) {
  const __m256i mixed = _mm256_packus_epi32(x, y);  // quarters x0 y0 x1 y1
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(mixed, 0xd8));
}
LONGSTRIDE_INLINE void store_halves(std::uint16_t* high, std::uint16_t* low, F a, F b, int count) {
  const __m256i first = _mm256_castps_si256(a.v), second = _mm256_castps_si256(b.v);
  const __m256i below = _mm256_set1_epi32(0xffff);
  std::uint16_t halves[2][16];
  const bool whole = count >= 16;
  store_lower(whole ? low : halves[0], _mm256_and_si256(first, below), _mm256_and_si256(second, below));
  store_lower(whole ? high : halves[1], _mm256_srli_epi32(first, 16), _mm256_srli_epi32(second, 16));
  for (int i = 0; i < count && !whole; ++i) {
    low[i] = halves[0][i];
    high[i] = halves[1][i];
  }
}
LONGSTRIDE_INLINE void transpose(F* rows) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(rows[i].v, rows[i + 1].v);
    a[i + 1] = _mm256_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0x44);
      b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0xee);
    }
  for (int j = 0; j < 4; ++j) {
    rows[j].v = _mm256_permute2f128_ps(b[j], b[j + 4], 0x20);
    rows[j + 4].v = _mm256_permute2f128_ps(b[j], b[j + 4], 0x31);
  }
}
LONGSTRIDE_INLINE F sum_each(const F* rows) {
  __m256 a[4], b[2];
  for (int i = 0; i < 4; ++i)
    a[i] = _mm256_add_ps(_mm256_unpacklo_ps(rows[2 * i].v, rows[2 * i + 1].v),
                         _mm256_unpackhi_ps(rows[2 * i].v, rows[2 * i + 1].v));
  for (int i = 0; i < 2; ++i)
    b[i] =
        _mm256_add_ps(_mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44), _mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0xee));
  return {_mm256_add_ps(_mm256_permute2f128_ps(b[0], b[1], 0x20), _mm256_permute2f128_ps(b[0], b[1], 0x31))};
}
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p, int count) {
  std::uint16_t elements[16] = {};
  for (int i = 0; i < count && i < 16; ++i) elements[i] = p[i];
  return {_mm256_loadu_ps(reinterpret_cast<const float*>(elements))};
}
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p) {
  return {_mm256_loadu_ps(reinterpret_cast<const float*>(p))};
}
// Bits of what load_bf16_neighbours has loaded, as pairs.
LONGSTRIDE_INLINE P as_pairs(F x) { return {_mm256_castps_si256(x.v)}; }
LONGSTRIDE_INLINE F as_floats(P x) { return {_mm256_castsi256_ps(x.v)}; }
LONGSTRIDE_INLINE void store_bf16_neighbours(std::uint16_t* p, F x, int count) {
  std::uint16_t elements[16];
  _mm256_storeu_ps(reinterpret_cast<float*>(elements), x.v);
  for (int i = 0; i < count && i < 16; ++i) p[i] = elements[i];
}
LONGSTRIDE_INLINE void halves_of(P a, P b, P& low, P& high) {
  low = {_mm256_blend_epi16(a.v, _mm256_slli_epi32(b.v, 16), 0xaa)};
  high = {_mm256_blend_epi16(_mm256_srli_epi32(a.v, 16), b.v, 0xaa)};
}
