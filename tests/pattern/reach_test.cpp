// Reachability against the paper's statements on validity, and the two ways to find it against each other.
#include "pattern/reach.h"

#include <gtest/gtest.h>

#include <numeric>

#include "pattern/random_patterns.h"

namespace longstride {
namespace {

AttentionLayout layout_of(const std::vector<std::vector<std::string>>& blocks) {
  AttentionLayout layout;
  for (const std::vector<std::string>& heads : blocks) {
    layout.blocks.emplace_back();
    for (const std::string& text : heads) layout.blocks.back().push_back(parse_pattern(text));
  }
  return layout;
}

// Steps, or 0 where some position is never reached.
int steps(const std::vector<std::vector<std::string>>& blocks, std::int64_t n, std::int64_t heads = 1) {
  return reach(layout_of(blocks), heads, n).steps;
}

TEST(Reach, OfStridedTakesTwoStepsInBothLayerOrders) {
  for (const std::int64_t n : {64, 100, 1000, 5000}) {
    EXPECT_EQ(steps({{"strided(8)"}}, n), 2) << n;
    EXPECT_EQ(steps({{"local(8)"}, {"column(8)"}}, n), 2) << n;
    EXPECT_EQ(steps({{"column(8)"}, {"local(8)"}}, n), 2) << n;
  }
}

TEST(Reach, NeedsAWindowAsWideAsTheStride) {
  for (const std::int64_t n : {64, 5000}) {
    EXPECT_EQ(steps({{"window(8)"}, {"column(8)"}}, n), 2);
    EXPECT_EQ(steps({{"column(8)"}, {"window(8)"}}, n), 2);
    EXPECT_GT(steps({{"window(7)"}, {"column(8)"}}, n), 2);
    EXPECT_GT(steps({{"column(8)"}, {"window(7)"}}, n), 2);
  }
}

TEST(Reach, OfFixedNeedsTheRowBelowTheSummary) {
  for (const std::int64_t n : {64, 5000}) {
    EXPECT_EQ(steps({{"row(8)"}, {"summary(8,2)"}}, n), 2);
    EXPECT_EQ(steps({{"summary(8,2)"}, {"row(8)"}}, n), 3);
    EXPECT_EQ(steps({{"fixed(8,2)"}}, n), 2);
  }
}

TEST(Reach, OfFixedNeedsAHeadWithTheLastSubBlock) {
  const Reach without = reach(layout_of({{"row(8) | summary(8,2,1)"}}), 1, 64);
  EXPECT_FALSE(without.all);
  EXPECT_EQ(without.steps, 0);
  EXPECT_EQ(without.query, 8);
  EXPECT_EQ(without.key, 6);
  EXPECT_EQ(steps({{"fixed(8,2)"}}, 64, 2), 2) << "head 0 has it";
  EXPECT_EQ(steps({{"fixed(8,2)"}}, 64, 4), 1) << "the heads together have every cell";
  EXPECT_EQ(steps({{"row(8) | summary(8,2,1)", "row(8) | summary(8,2)"}}, 64, 2), 2) << "the second head has it";
}

TEST(Reach, OfMultipleHeadsIsThatOfTheirUnion) {
  EXPECT_EQ(steps({{"local(8)", "column(8)"}}, 200, 2), 2);
  EXPECT_EQ(steps({{"local(8)", "column(8)"}}, 200, 1), 25) << "one head has the first pattern only";
}

TEST(Reach, OfWindowsGrowsStepByStep) {
  EXPECT_EQ(steps({{"dense"}}, 100), 1);
  EXPECT_EQ(steps({{"window(100)"}}, 100), 1);
  EXPECT_EQ(steps({{"window(2)"}}, 100), 99);
  EXPECT_EQ(steps({{"window(1)"}}, 100), 0);
  EXPECT_EQ(steps({{"window(1)"}}, 1), 1);
  EXPECT_EQ(steps({{"window(3)"}, {"window(11)"}}, 25), 4);
  EXPECT_EQ(steps({{"window(1024)"}}, std::int64_t{1} << 20), 1025);
  const auto windows = layers_of(layout_of({{"window(3)"}, {"window(1)"}, {"window(5)", "window(2)"}}), 2, 50);
  EXPECT_EQ(reach(layout_of({{"window(3)"}, {"window(1)"}, {"window(5)", "window(2)"}}), 2, 50).steps,
            reach_forward(windows, 50).steps);
}

TEST(Reach, OfWindowsOfSeveralWidthsIsThatOfFollowingEachStep) {
  for (const auto& blocks : {std::vector<std::vector<std::string>>{{"window(3)"}, {"window(5)"}},
                             {{"window(4)"}, {"window(1)"}, {"window(2)", "window(3)"}}})
    for (std::int64_t n = 1; n <= 40; ++n)
      EXPECT_EQ(steps(blocks, n, 2), reach_forward(layers_of(layout_of(blocks), 2, n), n).steps) << n;
}

TEST(Reach, NeverComesOfColumnsRowsOrSummariesAlone) {
  for (const char* text : {"column(8)", "row(8)", "summary(8,2)", "previous_row(8)", "prefix(3)", "row(8) | column(8)"})
    for (const std::int64_t n : {64, 5000}) EXPECT_FALSE(reach(layout_of({{text}}), 1, n).all) << text << " " << n;
}

TEST(Reach, OfDigitsTakesAsManyStepsAsDigits) {
  EXPECT_EQ(steps({{"digits(4,1)"}, {"digits(4,2)"}, {"digits(4,3)"}}, 64), 3);
  EXPECT_EQ(steps({{"digits(4,3)"}, {"digits(4,1)"}, {"digits(4,2)"}}, 64), 3);
}

TEST(Reach, ForwardAndBackwardAgree) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_number(1, 90);
    AttentionLayout layout;
    const std::int64_t blocks = random_number(1, 3), heads = random_number(1, 3);
    for (std::int64_t b = 0; b < blocks; ++b) {
      layout.blocks.emplace_back();
      for (std::int64_t h = 0; h < heads; ++h) layout.blocks.back().push_back(random_pattern(n));
    }
    const std::vector<Layer> cycle = layers_of(layout, heads, n);
    std::vector<std::int64_t> queries(n);
    std::iota(queries.begin(), queries.end(), 0);
    const Reach forward = reach_forward(cycle, n), backward = reach_backward(cycle, n, queries),
                either = reach(layout, heads, n);
    RC_ASSERT(forward.all == backward.all);
    RC_ASSERT(forward.steps == backward.steps);
    RC_ASSERT(forward.query == backward.query);
    RC_ASSERT(forward.key == backward.key);
    RC_ASSERT(either.all == forward.all);
    RC_ASSERT(either.steps == forward.steps);
  }));
}

TEST(Reach, OfAMillionPositionsIsThatOfThePaper) {
  const std::int64_t n = std::int64_t{1} << 20;
  const Reach strided = reach(layout_of({{"strided(1024)"}}), 1, n);
  EXPECT_TRUE(strided.all);
  EXPECT_EQ(strided.steps, 2);
  EXPECT_FALSE(strided.exact);
  EXPECT_EQ(steps({{"row(1024)"}, {"summary(1024,32)"}}, n), 2);
  EXPECT_FALSE(reach(layout_of({{"column(1024)"}}), 1, n).all);
  EXPECT_FALSE(reach(layout_of({{"row(1024) | column(1024)"}}), 1, n).all);
}

}  // namespace
}  // namespace longstride
