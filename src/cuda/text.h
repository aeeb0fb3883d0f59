// What kernels are written in: one text, which nvcc compiles for cards and g++ for the host, where an interpreter runs it
// (cuda/host). The functions of ops/ that kernels call are constexpr, which nvcc takes for both.
#pragma once

#include <cmath>
#include <cstdint>

#include "ops/tensor.h"

#ifdef __CUDACC__
#define LONGSTRIDE_DEVICE __device__ __forceinline__
#define LONGSTRIDE_UNROLL _Pragma("unroll")
#else
#define LONGSTRIDE_DEVICE inline
#define LONGSTRIDE_UNROLL
#endif

namespace longstride::cuda {

// An element of a matrix of DType::bfloat16. Its conversions are those of ops/tensor.h: the same bits on every device.
struct bf16 {
  std::uint16_t bits;
};

LONGSTRIDE_DEVICE float to_float(float x) { return x; }
LONGSTRIDE_DEVICE float to_float(bf16 x) { return float_from_bfloat16(x.bits); }
template <class A>
LONGSTRIDE_DEVICE A from_float(float x);
template <>
LONGSTRIDE_DEVICE float from_float<float>(float x) {
  return x;
}
template <>
LONGSTRIDE_DEVICE bf16 from_float<bf16>(float x) {
  return {bfloat16_from_float(x)};
}

template <class T>
LONGSTRIDE_DEVICE T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
LONGSTRIDE_DEVICE T max(T a, T b) {
  return a < b ? b : a;
}
LONGSTRIDE_DEVICE float exp(float x) { return ::expf(x); }
LONGSTRIDE_DEVICE float log(float x) { return ::logf(x); }
LONGSTRIDE_DEVICE float exp2(float x) { return ::exp2f(x); }
// 2^x, or 0 where that is below 2^-126: a card's own instruction, without what exp2 has around it for such numbers.
LONGSTRIDE_DEVICE float exp2_or_zero(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float y = ::exp2f(x);
  return y < 0x1p-126f ? 0.0f : y;
#endif
}
LONGSTRIDE_DEVICE float log2(float x) { return ::log2f(x); }
LONGSTRIDE_DEVICE float sqrt(float x) { return ::sqrtf(x); }
LONGSTRIDE_DEVICE double sqrt(double x) { return ::sqrt(x); }
// Nothing else is fused: nvcc is told so, as g++ is (cmake/cuda.cmake), and both give the same bits.
LONGSTRIDE_DEVICE float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
template <class T>
LONGSTRIDE_DEVICE bool is_finite(T x) {
  return x - x == 0;
}

// How many bits are set.
LONGSTRIDE_DEVICE int count_bits(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __popc(bits);
#else
  return __builtin_popcount(bits);
#endif
}

// Rows of a matrix as kernels see them.
template <class A>
struct Rows {
  A* data = nullptr;  // none where the operand is absent
  std::int64_t stride = 0;

  LONGSTRIDE_DEVICE A* row(std::int64_t r) const { return data + r * stride; }
  LONGSTRIDE_DEVICE A& at(std::int64_t r, std::int64_t c) const { return data[r * stride + c]; }
};
template <class A>
Rows<A> rows_of(const Matrix& m) {
  return {m ? static_cast<A*>(m.data) : nullptr, m.stride};
}

}  // namespace longstride::cuda
