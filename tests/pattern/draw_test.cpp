// Pictures against the definition, cell by cell where a cell is a pair, by shares where it is more.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "longstride/error.h"
#include "longstride/pattern.h"
#include "pattern/random_patterns.h"
#include "pattern/shares.h"

namespace longstride {
namespace {

// The characters of a text of UTF-8, line by line.
std::vector<std::vector<std::string>> characters(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1);
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t size = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : 3;
    if (text[at] == '\n') {
      lines.emplace_back();
    } else {
      lines.back().push_back(text.substr(at, size));
    }
    at += size;
  }
  lines.pop_back();
  return lines;
}

TEST(Drawings, InTextShowEveryPairOfAShortSequence) {
  EXPECT_EQ(draw_text(parse_pattern("strided(2)"), 5, 72),
            "██\n"
            "████\n"
            "██████\n"
            "· ██████\n"
            "██· ██████\n");
}

TEST(Drawings, InTextShowTwoQueriesALineWhereTheyFit) {
  for (const std::string& text : awkward_patterns())
    for (const std::int64_t n : {40, 61, 72}) {
      const Pattern pattern = parse_pattern(text);
      const auto lines = characters(draw_text(pattern, n, 72));
      ASSERT_EQ(static_cast<std::int64_t>(lines.size()), (n + 1) / 2);
      for (std::int64_t line = 0; line < (n + 1) / 2; ++line)
        for (std::int64_t j = 0; j < n; ++j) {
          const bool upper = attends(pattern, 2 * line, j),
                     lower = 2 * line + 1 < n && attends(pattern, 2 * line + 1, j);
          const std::string expected = upper && lower ? "█" : upper ? "▀" : lower ? "▄" : "·";
          const bool inside = j < static_cast<std::int64_t>(lines[line].size());
          ASSERT_EQ(inside ? lines[line][j] : "·", expected) << text << " line " << line << " key " << j;
        }
    }
}

TEST(Drawings, InTextFitTheirColumns) {
  for (const std::int64_t n : {1, 30, 73, 1000, 100000})
    for (const int columns : {1, 7, 72}) {
      const auto lines = characters(draw_text(parse_pattern("fixed(16,4)"), n, columns));
      EXPECT_GE(lines.size(), 1u);
      for (const auto& line : lines) EXPECT_LE(static_cast<int>(line.size()), columns);
    }
}

TEST(Drawings, AsImagesShowEveryPairOfAShortSequence) {
  const Pattern pattern = parse_pattern("fixed(5,2)");
  const std::int64_t n = 23;
  const Image image = draw_image(pattern, n, 100);
  ASSERT_EQ(image.width, 92);  // 4 pixels a pair
  ASSERT_EQ(image.bytes.size(), 92u * 92 * 3);
  const auto at = [&](std::int64_t i, std::int64_t j) {
    const std::uint8_t* pixel = &image.bytes[static_cast<std::size_t>(((4 * i + 1) * 92 + 4 * j + 1) * 3)];
    return std::array<int, 3>{pixel[0], pixel[1], pixel[2]};
  };
  const auto forbidden = at(0, 1), unread = at(5, 0), row = at(0, 0), summary = at(5, 4);
  EXPECT_EQ((std::set<std::array<int, 3>>{forbidden, unread, row, summary}.size()), 4u);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      ASSERT_EQ(at(i, j), j > i                     ? forbidden
                          : !attends(pattern, i, j) ? unread
                          : i / 5 == j / 5          ? row
                                                    : summary)
          << i << " " << j;
}

TEST(Drawings, AsSvgHoldOneElementARunOfEqualCells) {
  const std::string svg = draw_svg(parse_pattern("window(2)"), 4, 200);
  EXPECT_NE(svg.find("width=\"200\" height=\"200\" viewBox=\"0 0 4 4\""), std::string::npos);
  std::size_t elements = 0;
  for (std::size_t at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1)) ++elements;
  EXPECT_EQ(elements, 1u + 1 + 1 + 2 + 2);  // the ground, then rows 0 to 3
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
}

TEST(Drawings, OfLongSequencesShowShares) {
  const std::int64_t n = 320, cells = 20;
  for (const std::string& text : awkward_patterns()) {
    const Pattern pattern = parse_pattern(text);
    const Shares shares(pattern, n, cells, cells);
    for (std::int64_t row = 0; row < cells; ++row)
      for (std::int64_t column = 0; column < cells; ++column) {
        double read = 0, causal = 0;
        for (std::int64_t i = row * 16; i < row * 16 + 16; ++i)
          for (std::int64_t j = column * 16; j < column * 16 + 16; ++j) {
            causal += j <= i;
            read += attends(pattern, i, j);
          }
        const CellShare cell = shares.cell(row, column);
        ASSERT_EQ(cell.causal, causal > 0);
        ASSERT_DOUBLE_EQ(cell.share, causal > 0 ? read / causal : 0) << text << " " << row << " " << column;
        ASSERT_EQ(cell.part >= 0, read > 0);
      }
  }
}

TEST(Drawings, OfAMillionPositionsAreNearTheirShares) {
  const std::int64_t n = std::int64_t{1} << 20, cells = 64;
  for (const char* text : {"fixed(1024,256)", "column(8)", "window(65536)", "row(4096) | column(64)"}) {
    const Pattern pattern = parse_pattern(text);
    const Shares shares(pattern, n, cells, cells);
    double pairs = 0;
    const double side = static_cast<double>(n / cells);
    for (std::int64_t row = 0; row < cells; ++row)
      for (std::int64_t column = 0; column <= row; ++column)
        pairs += shares.cell(row, column).share * (row == column ? side * (side + 1) / 2 : side * side);
    EXPECT_NEAR(pairs / static_cast<double>(count_pairs(pattern, n)), 1, 0.05) << text;  // 16 queries of 16,384 a cell
  }
}

TEST(Drawings, TakeTheColourOfThePartThatAddsMost) {
  const Shares shares(parse_pattern("window(2) | column(3)"), 8, 2, 2);
  EXPECT_EQ(shares.cell(0, 0).part, 0);  // 7 pairs by the window, the column adds 1
  EXPECT_EQ(shares.cell(1, 0).part, 1);  // 1, the column adds 5
}

TEST(Drawings, RefuseSizesOfNothing) {
  EXPECT_THROW(draw_text(parse_pattern("dense"), 0, 10), Error);
  EXPECT_THROW(draw_image(parse_pattern("dense"), 10, 0), Error);
  EXPECT_THROW(draw_svg(parse_pattern("dense"), 10, -1), Error);
}

}  // namespace
}  // namespace longstride
