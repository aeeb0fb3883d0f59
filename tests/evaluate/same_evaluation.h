// What two evaluations of the same have in common: all but their time.
#pragma once

#include <gtest/gtest.h>

#include "longstride/evaluate.h"

namespace longstride::tests {

inline void expect_same(const Evaluation& a, const Evaluation& b) {
  EXPECT_EQ(a.bits_per_byte, b.bits_per_byte);
  EXPECT_EQ(a.standard_error, b.standard_error);
  EXPECT_EQ(a.tokens_scored, b.tokens_scored);
  EXPECT_EQ(a.windows, b.windows);
  EXPECT_EQ(a.data, b.data);
  EXPECT_EQ(a.data_sha256, b.data_sha256);
  EXPECT_EQ(a.checkpoint, b.checkpoint);
  EXPECT_EQ(a.checkpoint_sha256, b.checkpoint_sha256);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.precision, b.precision);
  EXPECT_EQ(a.interrupted, b.interrupted);
}

}  // namespace longstride::tests
