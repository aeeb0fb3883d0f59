// What operations work on: row-major matrices in a backend's memory, not owned.
#pragma once

#include <bit>
#include <cstdint>

namespace longstride {

enum class DType : std::uint8_t { float32, bfloat16 };

inline std::int64_t size_of(DType type) { return type == DType::float32 ? 4 : 2; }

// Element (r, c) lies `r * stride + c` elements after `data`. A matrix without data is absent.
struct Matrix {
  void* data = nullptr;
  DType type = DType::float32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  // elements, >= cols

  explicit operator bool() const { return data != nullptr; }
  float* f32() const { return static_cast<float*>(data); }
  std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data); }
  // Columns [first, first + count) of the same rows.
  Matrix columns(std::int64_t first, std::int64_t count) const {
    return {static_cast<char*>(data) + first * size_of(type), type, rows, count, stride};
  }
  Matrix rows_from(std::int64_t first, std::int64_t count) const {
    return {static_cast<char*>(data) + first * stride * size_of(type), type, count, cols, stride};
  }
};

inline Matrix matrix(void* data, DType type, std::int64_t rows, std::int64_t cols) {
  return {data, type, rows, cols, cols};
}

// bfloat16: the upper half of a float32, rounded to nearest, ties to even; NaN stays NaN.
inline float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
inline std::uint16_t bfloat16_from_float(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace longstride
