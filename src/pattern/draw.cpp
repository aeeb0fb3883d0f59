// Pictures of patterns: query down, key across. Parts have colours of their own, what no causal query reads is light.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "longstride/error.h"
#include "longstride/pattern.h"
#include "pattern/shares.h"

namespace longstride {

namespace {

using Colour = std::array<std::uint8_t, 3>;

// Colours that people with any colour vision tell apart (Okabe and Ito), in the order of a pattern's parts.
constexpr std::array<Colour, 8> kPartColours = {{{0, 114, 178},
                                                 {230, 120, 0},
                                                 {0, 158, 115},
                                                 {204, 80, 150},
                                                 {86, 160, 220},
                                                 {190, 160, 0},
                                                 {120, 90, 200},
                                                 {90, 90, 90}}};
constexpr Colour kForbidden = {247, 247, 245};  // j > i
constexpr Colour kUnread = {226, 228, 230};     // j <= i, read by nothing
constexpr Colour kLine = {255, 255, 255};
constexpr int kLinesFrom = 6;            // pixels of a cell from which lines between cells are drawn
constexpr std::int64_t kSvgCells = 128;  // a side at most: one element a run of equal cells
constexpr double kFaintest = 0.15;       // how strong the colour of a cell is in which one pair of many attends

Colour colour_of(const CellShare& cell) {
  if (!cell.causal) return kForbidden;
  if (cell.part < 0) return kUnread;
  // The square root lifts thin columns, of which a cell of a large picture holds one in a hundred pairs.
  const double strength = kFaintest + (1 - kFaintest) * std::sqrt(std::min(cell.share, 1.0));
  const Colour& full = kPartColours[static_cast<std::size_t>(cell.part) % kPartColours.size()];
  Colour mixed;
  for (std::size_t c = 0; c < 3; ++c)
    mixed[c] = static_cast<std::uint8_t>(std::lround(kUnread[c] + strength * (full[c] - kUnread[c])));
  return mixed;
}

void require(bool holds, const char* name, std::int64_t n, int size) {
  if (!holds) throw_invalid(fmt::format("{}: needs a length and a size of at least 1, got {} and {}", name, n, size));
}

const char* shade(const CellShare& cell) {
  if (!cell.causal) return " ";
  if (cell.part < 0) return "·";
  return cell.share < 0.25 ? "░" : cell.share < 0.5 ? "▒" : cell.share < 0.75 ? "▓" : "█";
}

// One query a line, one key two characters: nearly square.
std::string draw_wide(const Shares& shares, std::int64_t n) {
  std::string text;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) text += shares.cell(i, j).part >= 0 ? "██" : "· ";
    while (text.back() == ' ') text.pop_back();
    text += '\n';
  }
  return text;
}

// Two queries a line, one key a character.
std::string draw_halves(const Shares& shares, std::int64_t n) {
  std::string text;
  for (std::int64_t i = 0; i < n; i += 2) {
    const std::int64_t last = std::min(i + 1, n - 1);
    for (std::int64_t j = 0; j <= last; ++j) {
      const bool upper = shares.cell(i, j).part >= 0, lower = i + 1 < n && shares.cell(i + 1, j).part >= 0;
      text += upper ? (lower ? "█" : "▀") : (lower ? "▄" : "·");
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string draw_text(const Pattern& pattern, std::int64_t n, int columns) {
  require(n >= 1 && columns >= 1, "draw_text", n, columns);
  if (2 * n <= columns) return draw_wide(Shares(pattern, n, n, n), n);
  if (n <= columns) return draw_halves(Shares(pattern, n, n, n), n);
  const std::int64_t lines = (columns + 1) / 2;  // a character is about twice as high as wide
  const Shares shares(pattern, n, lines, columns);
  std::string text;
  for (std::int64_t row = 0; row < lines; ++row) {
    for (std::int64_t column = 0; column < columns && shares.cell(row, column).causal; ++column)
      text += shade(shares.cell(row, column));
    text += '\n';
  }
  return text;
}

Image draw_image(const Pattern& pattern, std::int64_t n, int pixels) {
  require(n >= 1 && pixels >= 1, "draw_image", n, pixels);
  const std::int64_t cells = std::min<std::int64_t>(n, pixels);
  const int zoom = static_cast<int>(pixels / cells), side = static_cast<int>(cells) * zoom;
  const Shares shares(pattern, n, cells, cells);
  Image image;
  image.width = image.height = side;
  image.bytes.resize(static_cast<std::size_t>(side) * side * 3);
  for (std::int64_t row = 0; row < cells; ++row)
    for (std::int64_t column = 0; column < cells; ++column) {
      const Colour colour = colour_of(shares.cell(row, column));
      for (int y = 0; y < zoom; ++y)
        for (int x = 0; x < zoom; ++x) {
          const bool line = zoom >= kLinesFrom && (x == zoom - 1 || y == zoom - 1);
          const std::size_t pixel = static_cast<std::size_t>(row * zoom + y) * side + column * zoom + x;
          std::copy_n((line ? kLine : colour).begin(), 3, image.bytes.begin() + static_cast<std::ptrdiff_t>(pixel * 3));
        }
    }
  return image;
}

std::string draw_svg(const Pattern& pattern, std::int64_t n, int pixels) {
  require(n >= 1 && pixels >= 1, "draw_svg", n, pixels);
  const std::int64_t cells = std::min(n, kSvgCells);
  const Shares shares(pattern, n, cells, cells);
  const auto hex = [](const Colour& c) { return fmt::format("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]); };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{0}\" viewBox=\"0 0 {1} {1}\" "
      "shape-rendering=\"crispEdges\">\n<title>{2}, {3} positions: query down, key across</title>\n"
      "<rect width=\"{1}\" height=\"{1}\" fill=\"{4}\"/>\n",
      pixels, cells, to_string(pattern), n, hex(kForbidden));
  for (std::int64_t row = 0; row < cells; ++row)
    for (std::int64_t column = 0; column <= row;) {
      const Colour colour = colour_of(shares.cell(row, column));
      std::int64_t end = column + 1;
      while (end <= row && colour_of(shares.cell(row, end)) == colour) ++end;
      svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"1\" fill=\"{}\"/>\n", column, row, end - column,
                         hex(colour));
      column = end;
    }
  return svg + "</svg>\n";
}

}  // namespace longstride
