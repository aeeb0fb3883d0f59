// Comparisons of attention with its definition and with the bounds that go with it (ops/attention_case.h).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/attention_case.h"

namespace longstride::tests {

// Every number within its bound; NaN is not.
inline void expect_within(const char* name, const std::vector<double>& got, const std::vector<double>& wanted,
                          const std::vector<double>& bound) {
  ASSERT_EQ(got.size(), wanted.size()) << name;
  for (std::size_t e = 0; e < got.size(); ++e) {
    if (got[e] == wanted[e]) continue;  // infinities
    const bool within = std::abs(got[e] - wanted[e]) <= bound[e];
    ASSERT_TRUE(within) << name << "[" << e << "]: got " << got[e] << ", wanted " << wanted[e];
  }
}

inline void expect_all_within(const AttentionResult& got, const AttentionResult& wanted, const AttentionResult& bound) {
  expect_within("out", got.out, wanted.out, bound.out);
  expect_within("lse", got.lse, wanted.lse, bound.lse);
  expect_within("dq", got.dq, wanted.dq, bound.dq);
  expect_within("dk", got.dk, wanted.dk, bound.dk);
  expect_within("dv", got.dv, wanted.dv, bound.dv);
}

}  // namespace longstride::tests
