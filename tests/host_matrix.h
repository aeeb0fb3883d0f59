// Comparisons of what operations left in host memory (ops/host_matrix.h) that NaN never passes.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/host_matrix.h"

namespace longstride::tests {

// |got - want| <= absolute + relative * |want| everywhere; the first that is not is named.
inline void expect_close(const definitions::Values& got, const definitions::Values& want, double absolute,
                         double relative, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool close = std::abs(got[i] - want[i]) <= absolute + relative * std::abs(want[i]);
    if (!close) {
      ADD_FAILURE() << what << ": element " << i << " is " << got[i] << ", should be " << want[i];
      return;
    }
  }
}

inline void expect_same_bits(const definitions::Values& a, const definitions::Values& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ADD_FAILURE() << what << ": element " << i << " is " << a[i] << " and " << b[i];
    return;
  }
}

// To tell 0 from -0, and one NaN from another.
inline std::vector<std::uint32_t> bits_of(const std::vector<float>& x) {
  std::vector<std::uint32_t> bits;
  for (const float value : x) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

}  // namespace longstride::tests
