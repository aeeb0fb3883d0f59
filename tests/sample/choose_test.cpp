// These tests hold the choice of a token against its definition.
#include "sample/choose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "longstride/error.h"

namespace longstride {
namespace {

// The token chosen at each of many evenly spaced uniforms: how often, by token.
std::vector<int> histogram(const Choice& choice, const std::vector<float>& logits, int draws = 1000) {
  Chooser chooser(choice);
  std::vector<int> counts(logits.size());
  for (int i = 1; i <= draws; ++i) {
    const double uniform = static_cast<double>(i) / draws;
    ++counts[static_cast<std::size_t>(
        chooser.choose(logits.data(), static_cast<std::int64_t>(logits.size()), uniform))];
  }
  return counts;
}

// Logits of these probabilities.
std::vector<float> logits_of(const std::vector<double>& p) {
  std::vector<float> logits;
  for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
  return logits;
}

std::set<int> chosen(const Choice& choice, const std::vector<double>& p) {
  const std::vector<int> counts = histogram(choice, logits_of(p));
  std::set<int> tokens;
  for (int token = 0; token < static_cast<int>(counts.size()); ++token) {
    if (counts[static_cast<std::size_t>(token)] > 0) tokens.insert(token);
  }
  return tokens;
}

using Tokens = std::set<int>;

TEST(Choose, TakesTheLowestIndexAmongEqualsWhereGreedy) {
  Chooser greedy({0, 0, 1, 0});
  const float logits[] = {1, 3, 2, 3, 3};
  for (const double uniform : {1e-9, 0.5, 1.0}) EXPECT_EQ(greedy.choose(logits, 5, uniform), 1);
  const float same[] = {-7, -7, -7};
  EXPECT_EQ(greedy.choose(same, 3, 0.9), 0);
}

TEST(Choose, DrawsByTheSoftmax) {
  const std::vector<int> counts = histogram({}, logits_of({0.1, 0.6, 0.3}));
  EXPECT_NEAR(counts[0], 100, 1);
  EXPECT_NEAR(counts[1], 600, 1);
  EXPECT_NEAR(counts[2], 300, 1);
}

TEST(Choose, SharpensAndFlattensByTemperature) {
  // At temperature 1/2 probabilities are squared: 4/5 and 1/5 become 16/17 and 1/17. At 2 their roots: 2/3 and 1/3.
  EXPECT_NEAR(histogram({0.5, 0, 1, 0}, logits_of({0.8, 0.2}))[0], 1000 * 16 / 17, 1);
  EXPECT_NEAR(histogram({2, 0, 1, 0}, logits_of({0.8, 0.2}))[0], 1000 * 2 / 3, 1);
}

TEST(Choose, IsGreedyInTheLimitOfSmallTemperatures) {
  const std::vector<float> logits = {-80, 90, 89, 90};
  const std::vector<int> counts = histogram({1e-300, 0, 1, 0}, logits);
  EXPECT_EQ(counts[0] + counts[2], 0);
  EXPECT_NEAR(counts[1], 500, 1);  // equals stay equals
}

TEST(Choose, KeepsTheFirstKByRankAndIndex) {
  EXPECT_EQ(chosen({1, 1, 1, 0}, {0.3, 0.4, 0.3}), (Tokens{1}));
  EXPECT_EQ(chosen({1, 2, 1, 0}, {0.3, 0.4, 0.3}), (Tokens{0, 1}));  // 0 and 2 are equals
  EXPECT_EQ(chosen({1, 9, 1, 0}, {0.3, 0.4, 0.3}), (Tokens{0, 1, 2}));
}

TEST(Choose, KeepsTheFewestThatReachTopP) {
  const std::vector<double> p = {0.125, 0.5, 0.25, 0.125};
  EXPECT_EQ(chosen({1, 0, 1e-9, 0}, p), (Tokens{1}));
  EXPECT_EQ(chosen({1, 0, 0.49, 0}, p), (Tokens{1}));
  EXPECT_EQ(chosen({1, 0, 0.6, 0}, p), (Tokens{1, 2}));
  EXPECT_EQ(chosen({1, 0, 0.8, 0}, p), (Tokens{0, 1, 2}));
  EXPECT_EQ(chosen({1, 0, 0.99, 0}, p), (Tokens{0, 1, 2, 3}));
  EXPECT_EQ(chosen({1, 0, 1, 0}, p), (Tokens{0, 1, 2, 3}));
}

TEST(Choose, TakesTopPOfWhatTopKLeaves) {
  // Of 0.5, 0.25 alone the first is two thirds: more than 0.6.
  EXPECT_EQ(chosen({1, 2, 0.6, 0}, {0.125, 0.5, 0.25, 0.125}), (Tokens{1}));
}

TEST(Choose, KeepsTokensNearTheLikeliestByMinP) {
  const std::vector<double> p = {0.1, 0.5, 0.26, 0.14};
  EXPECT_EQ(chosen({1, 0, 1, 0.5}, p), (Tokens{1, 2}));
  EXPECT_EQ(chosen({1, 0, 1, 0.25}, p), (Tokens{1, 2, 3}));
  EXPECT_EQ(chosen({1, 0, 1, 1}, p), (Tokens{1}));
  EXPECT_EQ(chosen({1, 0, 1, 0}, p), (Tokens{0, 1, 2, 3}));
}

TEST(Choose, NeverDrawsWhatHasNoProbability) {
  const std::vector<float> logits = {-3e38f, 0, -3e38f};
  EXPECT_EQ(histogram({}, logits)[1], 1000);
  Chooser chooser({});
  EXPECT_EQ(chooser.choose(logits.data(), 3, 1.0), 1);
  EXPECT_EQ(chooser.choose(logits.data(), 3, 0x1p-32), 1);
}

TEST(Choose, RefusesLogitsThatAreNotFinite) {
  for (const double temperature : {0.0, 1.0}) {
    Chooser chooser({temperature, 0, 1, 0});
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      const float logits[] = {1, bad};
      try {
        chooser.choose(logits, 2, 0.5);
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::diverged);
        EXPECT_EQ(std::string(error.what()).find("sample: the logit of token 1 is "), 0u) << error.what();
      }
    }
  }
}

TEST(Choose, NamesTheOptionThatIsOutOfRange) {
  const auto words = [](const Choice& choice) -> std::string {
    try {
      check(choice);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(words({-1, 0, 1, 0}), "--temperature: needs a number of at least 0, got -1");
  EXPECT_EQ(words({std::nan(""), 0, 1, 0}), "--temperature: needs a number of at least 0, got nan");
  EXPECT_EQ(words({1, -2, 1, 0}), "--top-k: needs a whole number of at least 0 (0: off), got -2");
  EXPECT_EQ(words({1, 0, 0, 0}), "--top-p: needs a number in (0, 1] (1: off), got 0");
  EXPECT_EQ(words({1, 0, 1.5, 0}), "--top-p: needs a number in (0, 1] (1: off), got 1.5");
  EXPECT_EQ(words({1, 0, 1, -0.1}), "--min-p: needs a number in [0, 1] (0: off), got -0.1");
  EXPECT_EQ(words({}), "no error");
}

TEST(Choose, TakesChanceFromSeedSequenceAndPositionAlone) {
  std::set<double> all;
  for (const std::int64_t seed : {0, 1, -1}) {
    for (const std::int64_t sequence : {0, 1, 2}) {
      for (const std::int64_t position : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 32}) {
        const double uniform = uniform_for(seed, sequence, position);
        EXPECT_EQ(uniform, uniform_for(seed, sequence, position));
        EXPECT_GT(uniform, 0);
        EXPECT_LE(uniform, 1);
        all.insert(uniform);
      }
    }
  }
  EXPECT_EQ(all.size(), 27u);
}

}  // namespace
}  // namespace longstride
