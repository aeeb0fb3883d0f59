// Dense products on the host, by their definition with float32 sums.
#include "cuda/product.h"

#include <algorithm>
#include <vector>

#include "cuda/host/memory.h"
#include "cuda/host/recorded.h"
#include "cuda/text.h"

namespace longstride::cuda {

namespace {

// Element (r, c) of what is given as (rows, cols), or transposed.
template <class A>
struct Given {
  const A* data;
  std::int64_t stride;
  bool transposed;
  float at(std::int64_t r, std::int64_t c) const {
    return to_float(transposed ? data[c * stride + r] : data[r * stride + c]);
  }
};

template <class A, class C>
void multiply(const ProductShape& shape, const void* a, const void* b, void* c, const float* bias) {
  const Given<A> left{static_cast<const A*>(a), shape.a_stride, shape.a_transposed};
  const Given<A> right{static_cast<const A*>(b), shape.b_stride, shape.b_transposed};
  std::vector<float> sums(static_cast<std::size_t>(shape.n)), row(sums);
  for (std::int64_t m = 0; m < shape.m; ++m) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (std::int64_t k = 0; k < shape.k; ++k) {
      const float x = left.at(m, k);
      for (std::int64_t n = 0; n < shape.n; ++n) sums[static_cast<std::size_t>(n)] += x * right.at(k, n);
    }
    C* to = static_cast<C*>(c) + m * shape.c_stride;
    for (std::int64_t n = 0; n < shape.n; ++n) {
      const float sum = sums[static_cast<std::size_t>(n)];
      to[n] = from_float<C>(shape.accumulate ? to_float(to[n]) + sum : shape.biased ? sum + bias[n] : sum);
    }
  }
}

}  // namespace

struct Products::Made {};
Products::Products() = default;
Products::~Products() = default;
std::int64_t Products::workspace_bytes() { return 0; }

// As cuBLASLt may, it knows none where a bias lies at an odd address.
bool Products::can_add_bias(const ProductShape&, const void*, const void*, const void*, const float* bias) {
  return reinterpret_cast<std::uintptr_t>(bias) % 16 == 0;
}

void Products::run(Stream& stream, const ProductShape& shape, const void* a, const void* b, void* c, const float* bias,
                   void*) {
  host::put(stream, [=] {
    const host::AtWork at_work;
    const bool wide = shape.type == DType::float32, wide_c = shape.c_type == DType::float32;
    if (wide) multiply<float, float>(shape, a, b, c, bias);
    if (!wide && wide_c) multiply<bf16, float>(shape, a, b, c, bias);
    if (!wide && !wide_c) multiply<bf16, bf16>(shape, a, b, c, bias);
  });
}

}  // namespace longstride::cuda
