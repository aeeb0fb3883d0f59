// These tests read what is asked of cuBLASLt: every way in which operands lie.
#include "cuda/product.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cublas_lt.h"
#include "error_words.h"
#include "host_matrix.h"

namespace longstride::tests {
namespace {

// (rows, cols), or as it lies transposed.
HostMatrix given(DType type, std::int64_t rows, std::int64_t cols, bool transposed, std::int64_t seed) {
  return transposed ? HostMatrix(type, cols, rows, seed, 2) : HostMatrix(type, rows, cols, seed, 1);
}
double at(const definitions::Values& values, std::int64_t rows, std::int64_t cols, bool transposed, std::int64_t r,
          std::int64_t c) {
  return values[static_cast<std::size_t>(transposed ? c * rows + r : r * cols + c)];
}

enum class And { nothing, accumulates, adds_bias };

void check(cuda::Products& products, DType type, DType c_type, bool a_transposed, bool b_transposed, And what_else) {
  constexpr std::int64_t m = 3, n = 5, k = 7;
  HostMatrix a = given(type, m, k, a_transposed, 1), b = given(type, k, n, b_transposed, 2), c(c_type, m, n, 3, 4);
  const definitions::Values as = a.values(), bs = b.values(), before = c.values();
  const bool accumulate = what_else == And::accumulates, biased = what_else == And::adds_bias;
  const std::vector<float> bias = random_floats(n, 4);
  const cuda::ProductShape shape{.m = m,
                                 .n = n,
                                 .k = k,
                                 .type = type,
                                 .c_type = c_type,
                                 .a_stride = a.view().stride,
                                 .b_stride = b.view().stride,
                                 .c_stride = c.view().stride,
                                 .a_transposed = a_transposed,
                                 .b_transposed = b_transposed,
                                 .accumulate = accumulate,
                                 .biased = biased};
  cuda::Stream stream;
  products.run(stream, shape, a.view().data, b.view().data, c.view().data, bias.data(), nullptr);
  definitions::Values want;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = accumulate ? before[static_cast<std::size_t>(i * n + j)] : 0;
      if (biased) sum += bias[static_cast<std::size_t>(j)];
      for (std::int64_t l = 0; l < k; ++l) sum += at(as, m, k, a_transposed, i, l) * at(bs, k, n, b_transposed, l, j);
      want.push_back(sum);
    }
  }
  const std::string what = word(type) + (a_transposed ? " A^T" : " A") + (b_transposed ? " B^T" : " B");
  expect_close(c.values(), want, sum_bound(k + 1, k + 1), 2 * rounding(c_type), what);
}

TEST(ProductCalls, MeanTheProductsThatAreWanted) {
  cuda::Products products;
  for (int times = 0; times < 2; ++times) {  // the second time with what was prepared
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        for (const And what_else : {And::nothing, And::accumulates, And::adds_bias}) {
          check(products, DType::float32, DType::float32, a_transposed, b_transposed, what_else);
          check(products, DType::bfloat16, DType::float32, a_transposed, b_transposed, what_else);
        }
        check(products, DType::bfloat16, DType::bfloat16, a_transposed, b_transposed, And::nothing);
      }
    }
  }
}

// Who asks for a sum with a bias is told whether there is a way, of each place where one may lie; what was prepared of
// one place is not that of another.
TEST(ProductCalls, SayWhetherABiasCanBeAdded) {
  cuda::Products products;
  std::vector<float> a(16), b(16), c(16), biases(8);
  const cuda::ProductShape shape{.m = 4, .n = 4, .k = 4, .a_stride = 4, .b_stride = 4, .c_stride = 4, .biased = true};
  const auto can = [&](std::size_t from) {
    return products.can_add_bias(shape, a.data(), b.data(), c.data(), biases.data() + from);
  };
  EXPECT_TRUE(can(0));
  knows_biases() = false;
  EXPECT_TRUE(can(0)) << "it was prepared";
  EXPECT_FALSE(can(1));
  cuda::Stream stream;
  EXPECT_EQ(error_words(ErrorKind::unavailable,
                        [&] { products.run(stream, shape, a.data(), b.data(), c.data(), biases.data() + 1, nullptr); }),
            "cuda: cuBLASLt knows no algorithm for a product of (4, 4) by (4, 4)");
  knows_biases() = true;
}

}  // namespace
}  // namespace longstride::tests
