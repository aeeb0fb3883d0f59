// Dense products C = A B, C += A B or C = A B + bias, of matrices as operations hold them: row-major, or read as their
// transpose. product.cpp asks cuBLASLt; cuda/host/product.cpp multiplies on the host. Sums are float32, in float32
// without TF32.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "cuda/card.h"
#include "ops/tensor.h"

namespace longstride::cuda {

// A is (m, k), B is (k, n), C is (m, n).
struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  DType type = DType::float32;    // of A and B
  DType c_type = DType::float32;  // this or float32
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  bool a_transposed = false, b_transposed = false;  // it lies there as (k, m), as (n, k)
  bool accumulate = false;                          // C += A B
  bool biased = false;                              // C = A B + bias, one number a column; C is float32 then

  auto operator<=>(const ProductShape&) const = default;
};

// The products of one card. Each shape is prepared when it is first met, and chosen by shape alone, never by a
// measurement: the same program gives the same bits each time.
class Products {
 public:
  Products();
  ~Products();

  static std::int64_t workspace_bytes();  // that run is given
  // bias: (n), where the shape is biased.
  void run(Stream& stream, const ProductShape& shape, const void* a, const void* b, void* c, const float* bias,
           void* workspace);
  // Whether there is a way to compute this biased product of operands at such addresses.
  bool can_add_bias(const ProductShape& shape, const void* a, const void* b, const void* c, const float* bias);

 private:
  struct Made;
  // How many bytes divide the addresses of a product's operands and of its bias: 16 at most.
  using Aligned = std::array<std::uint32_t, 4>;
  using Key = std::pair<ProductShape, Aligned>;
  const Made& made(const ProductShape& shape, const Aligned& aligned);

  void* handle_ = nullptr;  // of cuBLASLt
  std::map<Key, std::unique_ptr<Made>> made_;
};

}  // namespace longstride::cuda
