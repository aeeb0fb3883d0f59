// Comparisons of what operations left in host memory (ops/host_matrix.h) that NaN never passes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

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

}  // namespace longstride::tests
