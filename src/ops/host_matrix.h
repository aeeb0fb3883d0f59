// Matrices in host memory, filled by philox, and what rounding may do to a sum of them: for tests of operations and for
// `doctor`.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/definitions.h"
#include "ops/tensor.h"

namespace longstride {

// Uniform in [-1, 1), the same for the same seed and index.
float random_value(std::int64_t seed, std::int64_t i);
std::vector<float> random_floats(std::int64_t count, std::int64_t seed);

// Owns what a Matrix points into. Elements between cols and stride hold NaN: whoever reads them is found out.
class HostMatrix {
 public:
  HostMatrix(DType type, std::int64_t rows, std::int64_t cols, std::int64_t seed, std::int64_t gap = 0)
      : HostMatrix(Nothing{}, type, rows, cols, gap) {
    fill_at_random(seed);
  }
  // NaN everywhere.
  static HostMatrix of_nothing(DType type, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0) {
    return {Nothing{}, type, rows, cols, gap};
  }
  void set(std::int64_t r, std::int64_t c, float x) {
    const auto i = static_cast<std::size_t>(r * stride_ + c);
    if (type_ == DType::float32) floats_[i] = x;
    if (type_ == DType::bfloat16) halves_[i] = bfloat16_from_float(x);
  }
  void fill(float x);
  Matrix view() {
    void* data = type_ == DType::float32 ? static_cast<void*>(floats_.data()) : static_cast<void*>(halves_.data());
    return {data, type_, rows_, cols_, stride_};
  }
  definitions::Values values() { return definitions::values_of(view()); }

 private:
  struct Nothing {};
  HostMatrix(Nothing, DType type, std::int64_t rows, std::int64_t cols, std::int64_t gap)
      : type_(type), rows_(rows), cols_(cols), stride_(cols + gap) {
    const auto count = static_cast<std::size_t>(rows * stride_);
    floats_.assign(type == DType::float32 ? count : 0, NAN);
    halves_.assign(type == DType::bfloat16 ? count : 0, bfloat16_from_float(NAN));
  }
  void fill_at_random(std::int64_t seed);

  DType type_;
  std::int64_t rows_, cols_, stride_;
  std::vector<float> floats_;
  std::vector<std::uint16_t> halves_;
};

// What a vector holds, as an operand.
template <class T>
Array<T> array_of(std::vector<T>& x) {
  return array(x.data(), static_cast<std::int64_t>(x.size()));
}

inline void append(definitions::Values& to, const definitions::Values& from) {
  to.insert(to.end(), from.begin(), from.end());
}

inline std::string word(DType type) { return type == DType::float32 ? "float32" : "bfloat16"; }
constexpr DType kTypes[] = {DType::float32, DType::bfloat16};

inline definitions::Values as_values(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// Half a unit in the last place, relative to the value.
inline double rounding(DType type) { return type == DType::float32 ? 0x1p-24 : 0x1p-8; }
// Bound of the error of a float32 sum of K products in any order (Higham 2002, section 3.1), |products| adding up to
// `magnitude`: K + 1 roundings each.
inline double sum_bound(std::int64_t K, double magnitude) { return static_cast<double>(K + 2) * 0x1p-24 * magnitude; }

}  // namespace longstride
