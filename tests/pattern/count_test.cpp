// Counts against the oracles of docs/model.md, section 1, and against the definition.
#include "pattern/count.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pattern/random_patterns.h"

namespace longstride {
namespace {

struct Truth {
  std::int64_t pairs = 0, most = 0;
};

Truth brute(const Pattern& pattern, std::int64_t n) {
  Truth truth;
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t keys = 0;
    for (std::int64_t j = 0; j < n; ++j) keys += attends(pattern, i, j);
    truth.pairs += keys;
    truth.most = std::max(truth.most, keys);
  }
  return truth;
}

std::int64_t pairs(const char* text, std::int64_t n) { return count_pairs(parse_pattern(text), n); }

TEST(Counts, AreTheOraclesOfTheModel) {
  EXPECT_EQ(pairs("strided(4)", 16), 82);
  EXPECT_EQ(pairs("dense", 16), 136);
  EXPECT_EQ(pairs("fixed(4,1)", 16), 64);
  EXPECT_EQ(pairs("fixed(4,2)", 16), 88);
  EXPECT_EQ(pairs("fixed(4,3)", 16), 112);
  EXPECT_EQ(pairs("local(16)", 256), 4216);
  EXPECT_EQ(pairs("window(16)", 256), 3976);
  EXPECT_EQ(pairs("column(16)", 256), 2176);
  EXPECT_EQ(pairs("strided(16)", 256), 5896);
  EXPECT_EQ(pairs("dense", 12288), 75503616);
  EXPECT_EQ(pairs("strided(128)", 12288), 2148416);
  EXPECT_EQ(pairs("fixed(128,32)", 12288), 19470336);
}

TEST(Counts, OfOddLengthsAndStridesAreTheDefinitions) {
  for (std::int64_t n = 1; n < 40; n += 2)
    for (std::int64_t l = 1; l < 14; ++l)
      for (std::int64_t c = 1; c <= l; c += 2)
        for (std::int64_t o = 0; o < l / c; ++o) {
          const Pattern fixed{{{Primitive::row, l}, {Primitive::summary, l, c, o}}};
          ASSERT_EQ(count_pairs(fixed, n), brute(fixed, n).pairs) << to_string(fixed) << ", n " << n;
          const Pattern mixed{{{Primitive::window, c}, {Primitive::column, l}, {Primitive::digits, c, 2}}};
          ASSERT_EQ(count_pairs(mixed, n), brute(mixed, n).pairs) << to_string(mixed) << ", n " << n;
        }
}

void expect_counts(const Pattern& pattern, std::int64_t n) {
  const Truth truth = brute(pattern, n);
  ASSERT_EQ(count_pairs(pattern, n), truth.pairs) << to_string(pattern) << ", n " << n;
  ASSERT_EQ(max_keys(pattern, n), truth.most) << to_string(pattern) << ", n " << n;
}

TEST(Counts, OfAwkwardPatternsAreTheDefinitions) {
  for (const std::string& text : awkward_patterns())
    for (const std::int64_t n : {1, 2, 64, 255, 600}) expect_counts(parse_pattern(text), n);
}

TEST(Counts, OfRandomPatternsAreTheDefinitions) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length();
    const Pattern pattern = random_pattern(n);
    RC_LOG() << to_string(pattern) << " n " << n << "\n";
    const Truth truth = brute(pattern, n);
    RC_ASSERT(count_pairs(pattern, n) == truth.pairs);
    RC_ASSERT(max_keys(pattern, n) == truth.most);
    const std::int64_t i = random_number(0, n - 1);
    const std::int64_t begin = random_number(0, n - 1), end = random_number(0, n);
    std::vector<std::int64_t> expected, listed;
    std::int64_t inside = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      if (!attends(pattern, i, j)) continue;
      expected.push_back(j);
      inside += j >= begin && j < end;
    }
    list_keys(pattern, i, listed);
    RC_ASSERT(listed == expected);
    RC_ASSERT(count_keys(pattern, i) == static_cast<std::int64_t>(expected.size()));
    RC_ASSERT(count_keys_in(reduce(pattern, n), i, begin, end) == inside);
  }));
}

TEST(Counts, OfAMillionPositionsAreTheSumsOfTheirQueries) {
  const std::int64_t n = std::int64_t{1} << 20;
  for (const char* text :
       {"strided(1024)", "fixed(1024,32)", "window(7) | row(1000)", "summary(999,5) | column(1001)"}) {
    const Pattern pattern = parse_pattern(text);
    const Parts parts = reduce(pattern, n);
    std::int64_t sum = 0, most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t keys = count_keys_in(parts, i, 0, n);
      sum += keys;
      most = std::max(most, keys);
    }
    EXPECT_EQ(count_pairs(pattern, n), sum) << text;
    EXPECT_EQ(max_keys(pattern, n), most) << text;
  }
}

TEST(Counts, HoldBeyondThirtyTwoBits) {
  const std::int64_t n = std::int64_t{1} << 31;
  EXPECT_EQ(pairs("dense", n), n * (n + 1) / 2);
  EXPECT_EQ(pairs("column(2)", n), n / 2 * (n / 2 + 1));
  EXPECT_EQ(pairs("fixed(1048576,1)", n), n / 1048576 * (1048576ll * 1048577 / 2) + 1048576ll * (2048ll * 2047 / 2));
}

TEST(Counts, FloorSumIsTheSum) {
  for (std::int64_t count = 0; count < 12; ++count)
    for (std::int64_t divisor = 1; divisor < 9; ++divisor)
      for (std::int64_t step = 0; step < 12; ++step)
        for (std::int64_t offset = 0; offset < 12; ++offset) {
          std::int64_t sum = 0;
          for (std::int64_t t = 0; t < count; ++t) sum += (offset + t * step) / divisor;
          ASSERT_EQ(floor_sum(count, divisor, step, offset), sum);
        }
}

}  // namespace
}  // namespace longstride
