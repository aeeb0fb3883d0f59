// Which row of a hash embedding stands for which tokens.
#include "model/hashes.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace longstride {
namespace {

TEST(HashBucket, IsTheStatedFunction) {
  // h = 98 K mod 2^64, then ((h xor 99) K mod 2^64) >> 32, with K = 0x9E3779B97F4A7C15; computed in Python.
  const std::array<std::int32_t, 2> ab = {97, 98};
  EXPECT_EQ(hash_bucket(ab.data(), 1, 16384), 6402);
  EXPECT_EQ(hash_bucket(ab.data(), 2, 16384), 13097);
  EXPECT_EQ(hash_bucket(ab.data(), 2, 1), 0);
}

TEST(HashBucket, SpreadsTheTokensOfAText) {
  std::set<std::int32_t> rows;
  for (std::int32_t a = 0; a < 64; ++a) {
    for (std::int32_t b = 0; b < 64; ++b) {
      const std::array<std::int32_t, 2> pair = {a + 32, b + 32};
      rows.insert(hash_bucket(pair.data(), 2, 4096));
    }
  }
  // 4,096 pairs in 4,096 buckets: chance would fill 1 - 1/e of them, 2,589, with a deviation of 20.
  EXPECT_GT(rows.size(), 2400);
}

TEST(HashRows, AreOfTheTokensThatEndBeforeThePositionWhereThereAreEnough) {
  ModelConfig model;
  model.hash_orders = {2, 3};
  model.hash_buckets = 997;
  const std::array<std::int32_t, 4> tokens = {5, 6, 7, 8};
  std::array<std::int32_t, 4> rows = {};
  hash_rows(model, tokens.data() + 2, 2, rows.data(), 3);
  EXPECT_EQ(rows[0], hash_bucket(tokens.data(), 2, 997));
  EXPECT_EQ(rows[3], -1);  // three tokens before it there are not
  hash_rows(model, tokens.data() + 4, 4, rows.data(), 3);
  EXPECT_EQ(rows[0], hash_bucket(tokens.data() + 2, 2, 997));
  EXPECT_EQ(rows[3], hash_bucket(tokens.data() + 1, 3, 997));
}

}  // namespace
}  // namespace longstride
