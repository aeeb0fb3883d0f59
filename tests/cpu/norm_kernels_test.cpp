// This test counts how much dropout keeps, by the kernels of the instruction set in use.
#include "cpu/norm_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace longstride::cpu {
namespace {

TEST(DropoutMask, KeepsTheShareItShould) {
  DropoutWords words;
  words.least = static_cast<std::uint32_t>(std::ceil(0.4 * 0x1p24)) << 8;
  const std::int64_t count = 1 << 20;
  std::vector<std::uint32_t> mask(static_cast<std::size_t>(dropout_mask_words(count)));
  norm_kernels().dropout_mask(words, 3, count, mask.data());
  double kept = 0;
  for (std::size_t w = 0; w < count / 32; ++w) kept += std::popcount(mask[w]);
  // Standard deviation of the mean: sqrt(0.24 / 2^20) = 0.00048; five of them.
  EXPECT_NEAR(kept / static_cast<double>(count), 0.6, 0.0024);
}

}  // namespace
}  // namespace longstride::cpu
