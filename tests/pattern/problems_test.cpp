// What is wrong with a layout is said, and nothing is said of what is right.
#include <gtest/gtest.h>

#include "longstride/pattern.h"

namespace longstride {
namespace {

std::vector<std::string> found(const std::vector<std::vector<std::string>>& blocks, std::int64_t n,
                               std::int64_t heads = 1) {
  AttentionLayout layout;
  for (const std::vector<std::string>& list : blocks) {
    layout.blocks.emplace_back();
    for (const std::string& text : list) layout.blocks.back().push_back(parse_pattern(text));
  }
  return problems(layout, heads, n);
}

using Sentences = std::vector<std::string>;

TEST(Problems, AreNoneOfThePapersPatterns) {
  EXPECT_EQ(found({{"fixed(128,32)"}}, 12288, 8), Sentences{});
  EXPECT_EQ(found({{"strided(128)"}}, 12288), Sentences{});
  EXPECT_EQ(found({{"column(96)"}, {"window(96)"}, {"window(96)"}, {"window(96)"}}, 3072, 2), Sentences{});
  EXPECT_EQ(found({{"window(128)"}, {"column(128)"}, {"window(128)"}, {"window(128)"}}, 12288, 16), Sentences{});
  EXPECT_EQ(found({{"local(128)", "column(128)"}}, 12288, 2), Sentences{});
  EXPECT_EQ(found({{"strided(1024)"}}, std::int64_t{1} << 20), Sentences{});
  EXPECT_EQ(found({{"dense"}}, 1000), Sentences{});
  EXPECT_EQ(found({{"digits(16,1)"}, {"digits(16,2)"}, {"digits(16,3)"}}, 4096), Sentences{});
}

TEST(Problems, NameTheLastSubBlockThatNoHeadOwns) {
  EXPECT_EQ(found({{"row(32) | summary(32,8,1)"}}, 1024),
            (Sentences{"summary(32,8,1): no head owns the last sub-block of the rows of 32, so the positions after the "
                       "cells are summarised nowhere; add summary(32,8) or use fixed(32,8)",
                       "position 24 never arrives at position 32, however many layers: not every earlier position is "
                       "reached; add a part that links them, such as a window, a row or a column"}));
}

TEST(Problems, NameAWindowTooNarrowForItsColumn) {
  EXPECT_EQ(found({{"window(31)"}, {"column(32)"}}, 1024),
            (Sentences{"window(31) is too narrow beside column(32): some positions take more layers to arrive; use "
                       "window(32) or wider"}));
}

TEST(Problems, NameStridesFarFromTheRoot) {
  EXPECT_EQ(
      found({{"strided(8)"}}, 4096),
      (Sentences{"the stride 8 is far from the square root of the length 4096, 64: columns and summaries dominate "
                 "the work; choose one nearer to 64"}));
  EXPECT_EQ(
      found({{"fixed(512,8)"}}, 4096),
      (Sentences{"the stride 512 is far from the square root of the length 4096, 64: windows and rows of that size "
                 "dominate the work; choose one nearer to 64"}));
}

TEST(Problems, NameExtentsThatDoNotFit) {
  EXPECT_EQ(
      found({{"window(100)"}}, 100),
      (Sentences{"window(100) is as wide as the whole length 100: it is dense; write dense, or a smaller number"}));
  EXPECT_EQ(found({{"prefix(101)"}}, 100),
            (Sentences{"prefix(101) is longer than the length 100: it is dense; write dense, or a smaller number"}));
  EXPECT_EQ(
      found({{"row(101)"}}, 100),
      (Sentences{"row(101) does not fit the length 100: one row holds everything, which is dense; write dense, or a "
                 "smaller number"}));
  EXPECT_EQ(
      found({{"column(101) | window(50)"}}, 100),
      (Sentences{"column(101) does not fit the length 100: each query reads itself alone; its stride must be below "
                 "the length"}));
  EXPECT_EQ(
      found({{"summary(101,1) | window(50)"}}, 100),
      (Sentences{"summary(101,1) does not fit the length 100: no row is complete, so nothing is summarised; its row "
                 "must be shorter"}));
  EXPECT_EQ(
      found({{"previous_row(100) | window(50)"}}, 100),
      (Sentences{"previous_row(100) does not fit the length 100: there is no previous row, so it reads nothing; its "
                 "row must be shorter"}));
}

TEST(Problems, NamePositionsThatNeverArrive) {
  EXPECT_EQ(found({{"column(10)"}}, 100),
            (Sentences{"position 0 never arrives at position 1, however many layers: not every earlier position is "
                       "reached; add a part that links them, such as a window, a row or a column"}));
}

TEST(Problems, NamePatternsThatNoHeadUses) {
  EXPECT_EQ(
      found({{"dense", "row(10)"}}, 100),
      (Sentences{"block 0 lists 2 patterns for 1 head: those beyond are never used; give the model as many heads, or "
                 "drop them"}));
}

}  // namespace
}  // namespace longstride
