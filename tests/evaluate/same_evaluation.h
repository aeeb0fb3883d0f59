// A model with a text to score, and what two evaluations of the same have in common: all but their time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/file.h"
#include "longstride/evaluate.h"
#include "stored_model.h"

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

// Some bytes in a file beside a model of random weights, and as tokens.
class StoredText : public testing::Test {
 protected:
  explicit StoredText(std::int64_t size, std::int64_t context = StoredModel::kContext)
      : stored_(4, 256, context), tokens_(some_tokens(size, 256)) {
    write_file_atomically(stored_.path("text"), std::string(tokens_.begin(), tokens_.end()));
  }
  EvaluateOptions options(std::int64_t min_context) const {
    EvaluateOptions options;
    options.run = stored_.run();
    options.paths = {stored_.path("text")};
    options.min_context = min_context;
    return options;
  }

  StoredModel stored_;
  std::vector<std::int32_t> tokens_;
};

}  // namespace longstride::tests
