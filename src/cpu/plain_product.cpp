// These are products in plain loops.
#include "cpu/plain_product.h"

namespace longstride::cpu {

namespace {

float widened(float x) { return x; }
float widened(std::uint16_t x) { return float_from_bfloat16(x); }
void put(float* to, double x) { *to = static_cast<float>(x); }
void put(std::uint16_t* to, double x) { *to = bfloat16_from_float(static_cast<float>(x)); }

template <class In, class Out>
void multiply(const ProductShape& shape, const In* a, const In* b, Out* c, const float* bias) {
  const std::int64_t b_row = shape.pack ? shape.n : shape.b_row, b_column = shape.pack ? 1 : shape.b_column;
  for (std::int64_t i = 0; i < shape.m; ++i)
    for (std::int64_t j = 0; j < shape.n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < shape.k; ++k)
        sum += static_cast<double>(widened(a[i * shape.a_row + k * shape.a_column])) *
               widened(b[k * b_row + j * b_column]);
      Out* const to = c + i * shape.c_row + j;
      if (shape.bias) sum += bias[j];
      if (shape.accumulate) sum += widened(*to);
      put(to, sum);
    }
}

template <class In>
void multiply(const ProductShape& shape, const In* a, const In* b, void* c, const float* bias) {
  if (shape.result == DType::float32)
    multiply(shape, a, b, static_cast<float*>(c), bias);
  else
    multiply(shape, a, b, static_cast<std::uint16_t*>(c), bias);
}

template <class In>
void pack(const ProductShape& shape, const In* b, In* packed) {
  for (std::int64_t k = 0; k < shape.k; ++k)
    for (std::int64_t j = 0; j < shape.n; ++j) packed[k * shape.n + j] = b[k * shape.b_row + j * shape.b_column];
}

}  // namespace

bool is_plain(const ProductShape& shape) { return shape.n == 1 || (shape.m == 1 && shape.a_column != 1); }

void multiply_plainly(const ProductShape& shape, const void* a, const void* b, void* c, const float* bias) {
  if (shape.type == DType::float32)
    multiply(shape, static_cast<const float*>(a), static_cast<const float*>(b), c, bias);
  else
    multiply(shape, static_cast<const std::uint16_t*>(a), static_cast<const std::uint16_t*>(b), c, bias);
}

void pack_plainly(const ProductShape& shape, const void* b, void* packed) {
  if (shape.type == DType::float32)
    pack(shape, static_cast<const float*>(b), static_cast<float*>(packed));
  else
    pack(shape, static_cast<const std::uint16_t*>(b), static_cast<std::uint16_t*>(packed));
}

}  // namespace longstride::cpu
