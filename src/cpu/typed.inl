// Loads and stores of either number format; `bf16` is a constant where these are inlined. Included by kernel files.
LONGSTRIDE_INLINE F load_at(const void* p, std::int64_t i, bool bf16) {
  return bf16 ? load_bf16(static_cast<const std::uint16_t*>(p) + i) : load(static_cast<const float*>(p) + i);
}
LONGSTRIDE_INLINE F load_partial_at(const void* p, std::int64_t i, int count, bool bf16) {
  return bf16 ? load_bf16_partial(static_cast<const std::uint16_t*>(p) + i, count)
              : load_partial(static_cast<const float*>(p) + i, count);
}
LONGSTRIDE_INLINE void store_at(void* p, std::int64_t i, F x, bool bf16) {
  if (bf16) {
    store_bf16(static_cast<std::uint16_t*>(p) + i, x);
  } else {
    store(static_cast<float*>(p) + i, x);
  }
}
LONGSTRIDE_INLINE void store_partial_at(void* p, std::int64_t i, F x, int count, bool bf16) {
  if (bf16) {
    store_bf16_partial(static_cast<std::uint16_t*>(p) + i, x, count);
  } else {
    store_partial(static_cast<float*>(p) + i, x, count);
  }
}
// Lanes from `first` on of a row of `count`: kLanes of them, or what is left.
LONGSTRIDE_INLINE int lanes_left(std::int64_t first, std::int64_t count) {
  return count - first < kLanes ? static_cast<int>(count - first) : kLanes;
}
LONGSTRIDE_INLINE F load_up_to(const void* p, std::int64_t i, int count, bool bf16) {
  return count == kLanes ? load_at(p, i, bf16) : load_partial_at(p, i, count, bf16);
}
LONGSTRIDE_INLINE void store_up_to(void* p, std::int64_t i, F x, int count, bool bf16) {
  if (count == kLanes) {
    store_at(p, i, x, bf16);
  } else {
    store_partial_at(p, i, x, count, bf16);
  }
}
// c + a * b, of floats or of pairs of bfloat16.
LONGSTRIDE_INLINE F multiply_add(F a, F b, F c) { return fma(a, b, c); }
LONGSTRIDE_INLINE F multiply_add(P a, P b, F c) { return dot_pairs(a, b, c); }
