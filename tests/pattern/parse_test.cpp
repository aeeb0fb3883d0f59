// Patterns as text: what is read, what is printed back, and the words of every error.
#include <gtest/gtest.h>

#include <limits>

#include "longstride/error.h"
#include "longstride/pattern.h"
#include "pattern/random_patterns.h"

namespace longstride {
namespace {

std::string words(const std::string& text) {
  try {
    parse_pattern(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    return error.what();
  }
  return "no error";
}

std::string again(const char* text) { return to_string(parse_pattern(text)); }

TEST(Parse, ReadsEveryName) {
  EXPECT_EQ(parse_pattern("dense"), (Pattern{{{Primitive::dense}}}));
  EXPECT_EQ(parse_pattern("window(5)"), (Pattern{{{Primitive::window, 5}}}));
  EXPECT_EQ(parse_pattern("local(5)"), (Pattern{{{Primitive::window, 6}}}));
  EXPECT_EQ(parse_pattern("column(5)"), (Pattern{{{Primitive::column, 5}}}));
  EXPECT_EQ(parse_pattern("row(5)"), (Pattern{{{Primitive::row, 5}}}));
  EXPECT_EQ(parse_pattern("previous_row(5)"), (Pattern{{{Primitive::previous_row, 5}}}));
  EXPECT_EQ(parse_pattern("prefix(5)"), (Pattern{{{Primitive::prefix, 5}}}));
  EXPECT_EQ(parse_pattern("digits(5,3)"), (Pattern{{{Primitive::digits, 5, 3}}}));
  EXPECT_EQ(parse_pattern("summary(5,2)"), (Pattern{{{Primitive::summary, 5, 2, 0}}}));
  EXPECT_EQ(parse_pattern("summary(5,2,1)"), (Pattern{{{Primitive::summary, 5, 2, 1}}}));
  EXPECT_EQ(parse_pattern("strided(5)"), (Pattern{{{Primitive::window, 6}, {Primitive::column, 5}}}));
  EXPECT_EQ(parse_pattern("fixed(5,2)"), (Pattern{{{Primitive::row, 5}, {Primitive::summary, 5, 2, 0, true}}}));
}

TEST(Parse, ToleratesBlanks) {
  EXPECT_EQ(parse_pattern("  summary ( 5 ,\t2 , 1 )|dense \n"), parse_pattern("summary(5,2,1) | dense"));
}

TEST(Parse, PrintsTheShorthandsBack) {
  EXPECT_EQ(again("local(128)"), "local(128)");
  EXPECT_EQ(again("window(128)"), "window(128)");
  EXPECT_EQ(again("window(129)"), "local(128)");
  EXPECT_EQ(again("window(1)"), "window(1)");
  EXPECT_EQ(again("local(4)|column(4)"), "strided(4)");
  EXPECT_EQ(again("column(4)|local(4)"), "column(4) | local(4)");
  EXPECT_EQ(again("fixed(128,32)|prefix(3)"), "fixed(128,32) | prefix(3)");
  EXPECT_EQ(again("row(128)|summary(128,32,0)"), "row(128) | summary(128,32)");
  EXPECT_EQ(to_string(for_head(parse_pattern("fixed(128,32)"), 5)), "row(128) | summary(128,32,1)");
}

TEST(Parse, RoundTripsEveryPattern) {
  for (const std::string& text : awkward_patterns())
    EXPECT_EQ(parse_pattern(to_string(parse_pattern(text))), parse_pattern(text));
  EXPECT_TRUE(rc::check([] {
    const Pattern pattern = random_pattern(random_length());
    RC_ASSERT(parse_pattern(to_string(pattern)) == pattern);
  }));
}

TEST(Parse, PointsAtWhatIsWrong) {
  EXPECT_EQ(words("fixed(128,33x)"),
            "pattern \"fixed(128,33x)\": fixed(l,c) needs \")\", got \"x\" at column 13: fixed(128,33|x)");
  EXPECT_EQ(words("fixed(128,)"),
            "pattern \"fixed(128,)\": fixed(l,c) needs a whole number, got \")\" at column 11: fixed(128,|)");
  EXPECT_EQ(words("fixed(128)"), "pattern \"fixed(128)\": fixed(l,c) needs \",\", got \")\" at column 10: fixed(128|)");
  EXPECT_EQ(words("summary(8,2"),
            "pattern \"summary(8,2\": summary(l,c) or summary(l,c,o) needs \",\" or \")\", got the end of the text at "
            "column 12: summary(8,2|");
  EXPECT_EQ(words("row"), "pattern \"row\": row(l) needs \"(\", got the end of the text at column 4: row|");
  EXPECT_EQ(words("dense(3)"), "pattern \"dense(3)\": dense takes no numbers at column 6: dense|(3)");
  EXPECT_EQ(words(""), "pattern \"\": needs the name of a pattern, got the end of the text at column 1: |");
  EXPECT_EQ(words("row(4) |"),
            "pattern \"row(4) |\": needs the name of a pattern, got the end of the text at column 9: row(4) ||");
  EXPECT_EQ(words("row(4) row(5)"),
            "pattern \"row(4) row(5)\": needs \"|\" or the end, got \"r\" at column 8: row(4) |row(5)");
  EXPECT_EQ(words("row(-4)"), "pattern \"row(-4)\": row(l) needs a whole number, got \"-\" at column 5: row(|-4)");
  EXPECT_EQ(words("colum(4)"),
            "pattern \"colum(4)\": \"colum\" is no pattern (the nearest is column(l)) at column 1: |colum(4)");
  EXPECT_EQ(words("row(4) | lokal(4)"),
            "pattern \"row(4) | lokal(4)\": \"lokal\" is no pattern (the nearest is local(l)) at column 10: row(4) | "
            "|lokal(4)");
}

TEST(Parse, PointsAtNumbersOutOfRange) {
  EXPECT_EQ(words("row(0)"), "pattern \"row(0)\": l must be at least 1, got 0 at column 5: row(|0)");
  EXPECT_EQ(words("local(0)"), "pattern \"local(0)\": l must be at least 1, got 0 at column 7: local(|0)");
  EXPECT_EQ(words("window(0)"), "pattern \"window(0)\": w must be at least 1, got 0 at column 8: window(|0)");
  EXPECT_EQ(words("prefix(0)"), "pattern \"prefix(0)\": p must be at least 1, got 0 at column 8: prefix(|0)");
  EXPECT_EQ(words("digits(4,0)"), "pattern \"digits(4,0)\": m must be at least 1, got 0 at column 10: digits(4,|0)");
  EXPECT_EQ(words("fixed(8,9)"), "pattern \"fixed(8,9)\": c must be in [1, 8], got 9 at column 9: fixed(8,|9)");
  EXPECT_EQ(words("summary(8,0)"), "pattern \"summary(8,0)\": c must be in [1, 8], got 0 at column 11: summary(8,|0)");
  EXPECT_EQ(words("summary(8,3,2)"),
            "pattern \"summary(8,3,2)\": o must be in [0, 1], got 2 at column 13: summary(8,3,|2)");
  EXPECT_EQ(words("row(9223372036854775808)"),
            "pattern \"row(9223372036854775808)\": the number is larger than 2^63 - 1 at column 5: "
            "row(|9223372036854775808)");
  EXPECT_NE(words("local(9223372036854775807)").find("larger than 2^63 - 2 at column 7"), std::string::npos);
  EXPECT_EQ(words("row(9223372036854775807)"), "no error");
  EXPECT_NE(
      words("row(1)|row(2)|row(3)|row(4)|row(5)|row(6)|row(7)|row(8)|row(9)").find("at most 8 parts at column 57"),
      std::string::npos);
}

TEST(Parse, ShowsThePlaceInLongTextsOnly) {
  const std::string text = "row(4) | column(123456) | prefix(12) | window(x) | column(77) | dense";
  EXPECT_NE(words(text).find("at column 47: ...) | prefix(12) | window(|x) | column(77) | dense"), std::string::npos)
      << words(text);
}

TEST(Definition, IsThatOfEveryPrimitive) {
  const auto keys = [](const char* text, std::int64_t i) {
    std::string list;
    for (std::int64_t j = 0; j <= i + 3; ++j)
      if (attends(parse_pattern(text), i, j)) list += std::to_string(j) + " ";
    return list;
  };
  EXPECT_EQ(keys("dense", 3), "0 1 2 3 ");
  EXPECT_EQ(keys("local(2)", 5), "3 4 5 ");
  EXPECT_EQ(keys("window(2)", 5), "4 5 ");
  EXPECT_EQ(keys("column(3)", 8), "2 5 8 ");
  EXPECT_EQ(keys("row(4)", 6), "4 5 6 ");
  EXPECT_EQ(keys("previous_row(4)", 9), "4 5 6 7 ");
  EXPECT_EQ(keys("previous_row(4)", 3), "");
  EXPECT_EQ(keys("summary(4,1)", 9), "3 7 ");
  EXPECT_EQ(keys("summary(5,2,1)", 9), "1 2 6 7 ");
  EXPECT_EQ(keys("prefix(2)", 9), "0 1 ");
  EXPECT_EQ(keys("prefix(2)", 0), "0 ");
  EXPECT_EQ(keys("digits(3,1)", 9), "7 8 9 ");
  EXPECT_EQ(keys("digits(3,2)", 20), "14 17 20 ");
  EXPECT_EQ(keys("strided(4)", 9), "1 5 6 7 8 9 ");
  EXPECT_EQ(keys("fixed(4,1)", 9), "3 7 8 9 ");
  EXPECT_EQ(keys("summary(4,1)", 2), "");
}

TEST(Definition, HoldsForTheLargestPositions) {
  const std::int64_t last = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(attends(parse_pattern("digits(10,40)"), last, last));
  EXPECT_TRUE(attends(parse_pattern("digits(1,9)"), last, last));
  EXPECT_FALSE(attends(parse_pattern("digits(1,9)"), last, last - 1));
  EXPECT_TRUE(attends(parse_pattern("column(9223372036854775807)"), last, 0));
  EXPECT_TRUE(attends(parse_pattern("window(9223372036854775807)"), last, 1));
}

TEST(Layouts, SpreadSubBlocksOverTheirHeads) {
  AttentionLayout layout{{{parse_pattern("fixed(8,3)")}, {parse_pattern("row(8)"), parse_pattern("dense")}}};
  EXPECT_EQ(to_string(layout.head(0, 0)), "row(8) | summary(8,3)");
  EXPECT_EQ(to_string(layout.head(0, 1)), "row(8) | summary(8,3,1)");
  EXPECT_EQ(to_string(layout.head(0, 2)), "row(8) | summary(8,3)") << "two sub-blocks of 3 fit a row of 8";
  EXPECT_EQ(to_string(layout.head(2, 3)), "row(8) | summary(8,3,1)");
  EXPECT_EQ(to_string(layout.head(1, 2)), "row(8)");
  EXPECT_EQ(to_string(layout.head(3, 3)), "dense");
}

}  // namespace
}  // namespace longstride
