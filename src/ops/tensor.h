// What operations work on: matrices and arrays in a backend's memory, not owned. A program names them by the buffer
// they lie in; a backend that binds the program gives them addresses. An operand is absent when it has no extent: an
// address says nothing about that, since before binding none has one.
#pragma once

#include <bit>
#include <cstdint>

namespace longstride {

enum class DType : std::uint8_t { float32, bfloat16 };

inline std::int64_t size_of(DType type) { return type == DType::float32 ? 4 : 2; }

// `offset` bytes into a buffer of a program. Without a buffer (-1) an operand names memory outside the program, by its
// address.
struct Place {
  std::int32_t buffer = -1;
  std::int64_t offset = 0;
};

// Element (r, c) lies `r * stride + c` elements after `data`, row-major.
struct Matrix {
  void* data = nullptr;
  DType type = DType::float32;
  std::int64_t rows = 0;  // 0: the matrix is absent
  std::int64_t cols = 0;
  std::int64_t stride = 0;  // elements, >= cols
  Place place = {};

  explicit operator bool() const { return rows > 0; }
  float* f32() const { return static_cast<float*>(data); }
  std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data); }
  // Columns [first, first + count) of the same rows.
  Matrix columns(std::int64_t first, std::int64_t count) const { return part(first, rows, count); }
  Matrix rows_from(std::int64_t first, std::int64_t count) const { return part(first * stride, count, cols); }

 private:
  Matrix part(std::int64_t elements, std::int64_t some_rows, std::int64_t some_cols) const {
    const std::int64_t bytes = elements * size_of(type);
    void* at = data == nullptr ? nullptr : static_cast<char*>(data) + bytes;
    return {at, type, some_rows, some_cols, stride, {place.buffer, place.offset + bytes}};
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
  Place place = {};

  explicit operator bool() const { return T != 0; }
  float* f32() const { return static_cast<float*>(data); }
  std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data); }
  std::int64_t offset(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return b * batch_stride + t * row_stride + h * head_stride;
  }
};

// Row b * T + t of m holds the channels of position t of sequence b, one head's beside the other's. Absent where m is.
inline Heads heads(const Matrix& m, std::int64_t B, std::int64_t T, std::int64_t H) {
  const std::int64_t D = H == 0 ? 0 : m.cols / H;
  return {m.data, m.type, B, m ? T : 0, H, D, T * m.stride, m.stride, D, m.place};
}

// `count` elements side by side.
template <class T>
struct Array {
  T* data = nullptr;
  std::int64_t count = 0;  // 0: the array is absent
  Place place = {};

  explicit operator bool() const { return count > 0; }
  T& operator[](std::int64_t i) const { return data[i]; }
  Array from(std::int64_t first, std::int64_t some) const {
    return {data == nullptr ? nullptr : data + first,
            some,
            {place.buffer, place.offset + first * static_cast<std::int64_t>(sizeof(T))}};
  }
  Array from(std::int64_t first) const { return from(first, count - first); }
};

template <class T>
Array<T> array(T* data, std::int64_t count) {
  return {data, count};
}

// From an operand's first element to its last, what lies between its rows included.
inline std::int64_t bytes_of(const Matrix& m) { return m ? ((m.rows - 1) * m.stride + m.cols) * size_of(m.type) : 0; }
inline std::int64_t bytes_of(const Heads& of) {
  return of ? (of.offset(of.B - 1, of.T - 1, of.H - 1) + of.D) * size_of(of.type) : 0;
}
template <class T>
std::int64_t bytes_of(const Array<T>& a) {
  return a.count * static_cast<std::int64_t>(sizeof(T));
}

// bfloat16: the upper half of a float32, rounded to nearest, ties to even; NaN stays NaN. constexpr, as philox is, since
// kernels of other processors call these.
constexpr float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
constexpr std::uint16_t bfloat16_from_float(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// How an operation uses an operand.
enum class Use : std::uint8_t { reads, writes, changes };  // changes: reads and writes

}  // namespace longstride
