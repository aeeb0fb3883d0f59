// Vector operations, one lane: what the others are checked against. See vector_avx512.h for what each means.
constexpr int kLanes = 1;
constexpr bool kNativeBf16 = false;
using F = float;
using P = std::uint32_t;  // a pair of bfloat16 a lane, the even one in the low half

LONGSTRIDE_INLINE F zero() { return 0; }
LONGSTRIDE_INLINE F broadcast(float x) { return x; }
LONGSTRIDE_INLINE F load(const float* p) { return *p; }
LONGSTRIDE_INLINE F load_partial(const float* p, int count) { return count > 0 ? *p : 0; }
LONGSTRIDE_INLINE void store(float* p, F x) { *p = x; }
LONGSTRIDE_INLINE void store_partial(float* p, F x, int count) {
  if (count > 0) *p = x;
}
LONGSTRIDE_INLINE F add(F a, F b) { return a + b; }
LONGSTRIDE_INLINE F sub(F a, F b) { return a - b; }
LONGSTRIDE_INLINE F mul(F a, F b) { return a * b; }
LONGSTRIDE_INLINE F div(F a, F b) { return a / b; }
LONGSTRIDE_INLINE F fma(F a, F b, F c) { return a * b + c; }  // two roundings: the baseline machine has no fused one
LONGSTRIDE_INLINE F max(F a, F b) { return a > b ? a : b; }
LONGSTRIDE_INLINE F min(F a, F b) { return a < b ? a : b; }
LONGSTRIDE_INLINE F sqrt(F a) { return std::sqrt(a); }
LONGSTRIDE_INLINE F select(std::uint32_t bits, F yes, F no) { return (bits & 1) ? yes : no; }
LONGSTRIDE_INLINE float sum(F a) { return a; }
LONGSTRIDE_INLINE float max_of(F a) { return a; }
LONGSTRIDE_INLINE F load_bf16(const std::uint16_t* p) { return float_from_bfloat16(*p); }
LONGSTRIDE_INLINE F load_bf16_partial(const std::uint16_t* p, int count) {
  return count > 0 ? float_from_bfloat16(*p) : 0;
}
LONGSTRIDE_INLINE void store_bf16(std::uint16_t* p, F x) { *p = bfloat16_from_float(x); }
LONGSTRIDE_INLINE void store_bf16_partial(std::uint16_t* p, F x, int count) {
  if (count > 0) *p = bfloat16_from_float(x);
}
constexpr int kWords = 1;
using U = std::uint64_t;
LONGSTRIDE_INLINE U word(std::uint32_t x) { return x; }
LONGSTRIDE_INLINE U words_from(std::uint32_t first) { return first; }
LONGSTRIDE_INLINE U multiply_words(U a, U b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
LONGSTRIDE_INLINE U upper_words(U a) { return a >> 32; }
LONGSTRIDE_INLINE U exclusive_or(U a, U b, U c) { return a ^ b ^ c; }
LONGSTRIDE_INLINE std::uint32_t words_at_least(U a, U b, U c, U d, std::uint32_t least) {
  const auto bit = [least](U x) { return static_cast<std::uint32_t>(static_cast<std::uint32_t>(x) >= least); };
  return bit(a) | bit(b) << 1 | bit(c) << 2 | bit(d) << 3;
}
LONGSTRIDE_INLINE P load_pairs(const std::uint32_t* p) { return *p; }
LONGSTRIDE_INLINE P broadcast_pair(std::uint32_t x) { return x; }
LONGSTRIDE_INLINE P pair(F even, F odd) {
  return bfloat16_from_float(even) | static_cast<std::uint32_t>(bfloat16_from_float(odd)) << 16;
}
LONGSTRIDE_INLINE void store_pairs(std::uint32_t* p, P x) { *p = x; }
LONGSTRIDE_INLINE F dot_pairs(P a, P b, F c) {
  const float even = std::bit_cast<float>(a << 16) * std::bit_cast<float>(b << 16);
  const float odd = std::bit_cast<float>(a & 0xffff0000u) * std::bit_cast<float>(b & 0xffff0000u);
  return c + odd + even;
}
LONGSTRIDE_INLINE F exp(F x) {
  if (x < -87.336544f) return 0;
  x = x > 88.376262f ? 88.376262f : x;
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + (r + 1);
  if (!(n == n)) return n;
  return std::ldexp(y, static_cast<int>(n));
}

LONGSTRIDE_INLINE F exp2(F x) {
  if (!(x >= -126)) return x == x ? 0 : x;
  if (x > 128) return INFINITY;
  const float n = std::floor(x), r = x - n;
  float y = 0.0018775767f;
  y = y * r + 0.008989340024f;
  y = y * r + 0.05582631812f;
  y = y * r + 0.240153617f;
  y = y * r + 0.6931530732f;
  y = y * r + 0.9999999251f;
  return std::ldexp(y, static_cast<int>(n));
}
LONGSTRIDE_INLINE F exp2_coarse(F x) { return exp2(x); }
LONGSTRIDE_INLINE F log2(F x) { return std::log2(x); }
LONGSTRIDE_INLINE bool any_above(F a, F b) { return a > b; }
LONGSTRIDE_INLINE P operand_pair(F even, F odd) { return pair(even, odd); }
LONGSTRIDE_INLINE P operand_neighbours(F a, F b) { return pair(a, b); }
LONGSTRIDE_INLINE void interleave_bf16(const std::uint16_t* even, const std::uint16_t* odd, int count, P& low,
                                       P& high) {
  low = count > 0 ? even[0] | static_cast<std::uint32_t>(odd[0]) << 16 : 0;
  high = count > 1 ? even[1] | static_cast<std::uint32_t>(odd[1]) << 16 : 0;
}
LONGSTRIDE_INLINE void store_bf16_twice(std::uint16_t* p, F a, F b, int count) {
  if (count > 0) p[0] = bfloat16_from_float(a);
  if (count > 1) p[1] = bfloat16_from_float(b);
}
LONGSTRIDE_INLINE void store_halves(std::uint16_t* high, std::uint16_t* low, F a, F b, int count) {
  const std::uint32_t words[] = {std::bit_cast<std::uint32_t>(a), std::bit_cast<std::uint32_t>(b)};
  for (int i = 0; i < 2 && i < count; ++i) {
    low[i] = static_cast<std::uint16_t>(words[i]);
    high[i] = static_cast<std::uint16_t>(words[i] >> 16);
  }
}
LONGSTRIDE_INLINE void transpose(F*) {}
LONGSTRIDE_INLINE F sum_each(const F* rows) { return rows[0]; }
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p, int count) {
  const std::uint32_t even = count > 0 ? p[0] : 0, odd = count > 1 ? p[1] : 0;
  return std::bit_cast<float>(even | odd << 16);
}
LONGSTRIDE_INLINE F load_bf16_neighbours(const std::uint16_t* p) { return load_bf16_neighbours(p, 2); }
// Bits of what load_bf16_neighbours has loaded, as pairs.
LONGSTRIDE_INLINE P as_pairs(F x) { return std::bit_cast<P>(x); }
LONGSTRIDE_INLINE F as_floats(P x) { return std::bit_cast<F>(x); }
LONGSTRIDE_INLINE void store_bf16_neighbours(std::uint16_t* p, F x, int count) {
  if (count > 0) p[0] = static_cast<std::uint16_t>(as_pairs(x));
  if (count > 1) p[1] = static_cast<std::uint16_t>(as_pairs(x) >> 16);
}
LONGSTRIDE_INLINE void halves_of(P a, P b, P& low, P& high) {
  low = (a & 0xffffu) | b << 16;
  high = a >> 16 | (b & 0xffff0000u);
}
