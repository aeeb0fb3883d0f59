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

// Heads of sequences: element (b, t, h, d) lies b * batch_stride + t * row_stride + h * head_stride + d elements after
// `data`. Absent where T is 0, whatever `data` is.
struct Heads {
  void* data = nullptr;
  DType type = DType::float32;
  std::int64_t B = 0, T = 0, H = 0, D = 0;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;

  explicit operator bool() const { return T != 0; }
  float* f32() const { return static_cast<float*>(data); }
  std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data); }
  std::int64_t offset(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return b * batch_stride + t * row_stride + h * head_stride;
  }
};

// Row b * T + t of m holds the channels of position t of sequence b, one head's beside the other's.
inline Heads heads(const Matrix& m, std::int64_t B, std::int64_t T, std::int64_t H) {
  const std::int64_t D = H == 0 ? 0 : m.cols / H;
  return {m.data, m.type, B, T, H, D, T * m.stride, m.stride, D};
}

// (T, H * D) of the first sequence. Its heads must lie side by side.
inline Matrix first_sequence(const Heads& x) { return {x.data, x.type, x.T, x.H * x.D, x.row_stride}; }

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
