// Pictures of longstride/attention.h: panels of one head each, over a picture or as a cells.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/attention.h"
#include "longstride/error.h"

namespace longstride {
namespace {

using Colour = std::array<double, 3>;

constexpr Colour kPaper = {255, 255, 255};
constexpr Colour kRead = {255, 140, 0};      // the largest weight of a panel (orange of Okabe and Ito, brighter)
constexpr Colour kQuery = {0, 170, 255};     // the pixel that is being predicted
constexpr Colour kFuture = {236, 236, 234};  // j > i, in a matrix
constexpr Colour kCold = {24, 28, 36};       // a weight of 0, in a matrix
constexpr double kDimmed = 0.45;             // of a pixel's light, where nothing is read
constexpr double kDark = 0.12;               // the same from the query on
constexpr std::int64_t kGap = 4;             // pixels between panels
constexpr std::int64_t kQueriesOfACell = 4;
constexpr std::int64_t kMostPixels = 100'000'000;

// Panels of side height x width in a grid, painted cell by cell: a cell is zoom x zoom pixels.
class Grid {
 public:
  Grid(std::int64_t down, std::int64_t across, std::int64_t height, std::int64_t width, std::int64_t zoom)
      : height_(height), width_(width), zoom_(zoom) {
    const std::int64_t H = down * (height * zoom + kGap) - kGap, W = across * (width * zoom + kGap) - kGap;
    if (H > kMostPixels / W) {
      throw_invalid(
          fmt::format("attention: a picture of {} x {} pixels is too large; choose fewer layers, heads or queries",
                      with_commas(W), with_commas(H)));
    }
    image_.width = static_cast<int>(W);
    image_.height = static_cast<int>(H);
    image_.bytes.assign(static_cast<std::size_t>(H * W * 3), static_cast<std::uint8_t>(kPaper[0]));
  }

  void paint(std::int64_t down, std::int64_t across, std::int64_t y, std::int64_t x, const Colour& colour) {
    const std::int64_t top = down * (height_ * zoom_ + kGap) + y * zoom_;
    const std::int64_t left = across * (width_ * zoom_ + kGap) + x * zoom_;
    for (std::int64_t row = top; row < top + zoom_; ++row) {
      std::uint8_t* at = image_.bytes.data() + 3 * (row * image_.width + left);
      for (std::int64_t e = 0; e < 3 * zoom_; ++e) at[e] = static_cast<std::uint8_t>(std::lround(colour[e % 3]));
    }
  }

  Image take() { return std::move(image_); }

 private:
  std::int64_t height_, width_, zoom_;
  Image image_;
};

Colour mix(const Colour& a, const Colour& b, double share) {
  return {a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])};
}

// 0 to 1; the square root lifts small weights so that they are seen.
double strength(double weight, double largest) { return largest > 0 ? std::sqrt(weight / largest) : 0; }

std::int64_t place_of(const std::vector<std::int64_t>& list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) - list.begin();
}

std::vector<std::int64_t> ascending(std::vector<std::int64_t> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

void check_panel(int panel) {
  if (panel < 1 || panel > 4096)
    throw_invalid(fmt::format("attention: a panel has 1 to 4096 pixels a side, got {}", panel));
}

Colour pixel_of(const std::vector<std::uint8_t>& tokens, std::int64_t pixel, std::int64_t channels) {
  const std::uint8_t* at = tokens.data() + pixel * channels;
  if (channels == 1) return {double(at[0]), double(at[0]), double(at[0])};
  return {double(at[0]), double(at[1]), double(at[2])};
}

// Cells of a matrix panel being summed, and how many queries each row of cells has.
struct Cells {
  Cells(std::int64_t range_begin, std::int64_t range_count, std::int64_t most_cells)
      : first(range_begin), count(range_count), side(std::min(range_count, most_cells)) {
    for (std::int64_t row = 0; row < side; ++row) {
      const std::int64_t from = begin(row), size = begin(row + 1) - from, taken = std::min(size, kQueriesOfACell);
      for (std::int64_t t = 0; t < taken; ++t) queries.push_back(first + from + t * size / taken);
      rows.push_back(taken);
    }
  }
  std::int64_t begin(std::int64_t cell) const { return cell * count / side; }
  std::int64_t cell_of(std::int64_t offset) const { return ((offset + 1) * side - 1) / count; }

  std::int64_t first, count, side;
  std::vector<std::int64_t> queries, rows;
};

}  // namespace

Image draw_attention_over_picture(const AttentionView& view, const AttentionDrawing& drawing,
                                  const std::vector<std::int64_t>& queries) {
  check_panel(drawing.panel);
  const DataConfig& data = view.config().data;
  if (data.kind != "image")
    throw_invalid("attention: the model has not learned from pictures; its input is drawn as a matrix");
  const std::int64_t height = data.image_size[0], width = data.image_size[1], channels = data.channels;
  const std::vector<std::int64_t> layers = ascending(drawing.layers);
  const auto L = static_cast<std::int64_t>(layers.size());
  Grid grid(L * static_cast<std::int64_t>(queries.size()), static_cast<std::int64_t>(drawing.heads.size()), height,
            width, std::max<std::int64_t>(1, drawing.panel / std::max(height, width)));
  std::vector<double> weights(static_cast<std::size_t>(height * width));
  view.rows(layers, drawing.heads, queries, [&](const AttentionRow& row) {
    std::fill(weights.begin(), weights.end(), 0.0);
    for (std::size_t e = 0; e < row.keys.size(); ++e) {  // key 0 holds the start vector, which lies nowhere
      if (row.keys[e] > 0) weights[static_cast<std::size_t>((row.keys[e] - 1) / channels)] += row.p[e];
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    const std::int64_t down = place_of(queries, row.query) * L + place_of(layers, row.layer);
    const std::int64_t across = place_of(drawing.heads, row.head), own = row.query / channels;
    for (std::int64_t pixel = 0; pixel < height * width; ++pixel) {
      const double weight = weights[static_cast<std::size_t>(pixel)];
      const Colour light = mix({0, 0, 0}, pixel_of(view.tokens(), pixel, channels), pixel < own ? kDimmed : kDark);
      const Colour colour = pixel == own ? kQuery : mix(light, kRead, strength(weight, largest));
      grid.paint(down, across, pixel / width, pixel % width, colour);
    }
  });
  return grid.take();
}

Image draw_attention_matrix(const AttentionView& view, const AttentionDrawing& drawing, std::int64_t first,
                            std::int64_t count) {
  check_panel(drawing.panel);
  const auto n = static_cast<std::int64_t>(view.tokens().size());
  if (first < 0 || count < 1 || first > n - count) {
    throw_invalid(fmt::format("attention: a window lies within the input's {} tokens, got {} from {} on",
                              with_commas(n), with_commas(count), with_commas(first)));
  }
  const Cells cells(first, count, drawing.panel);
  const std::vector<std::int64_t> layers = ascending(drawing.layers);
  Grid grid(static_cast<std::int64_t>(layers.size()), static_cast<std::int64_t>(drawing.heads.size()), cells.side,
            cells.side, drawing.panel / cells.side);
  std::vector<double> shares(static_cast<std::size_t>(cells.side * cells.side));
  view.rows(layers, drawing.heads, cells.queries, [&](const AttentionRow& row) {
    const std::int64_t y = cells.cell_of(row.query - first);
    for (std::size_t e = 0; e < row.keys.size(); ++e) {
      if (row.keys[e] < first) continue;
      const std::int64_t x = cells.cell_of(row.keys[e] - first);
      shares[static_cast<std::size_t>(y * cells.side + x)] +=
          row.p[e] / static_cast<double>(cells.rows[static_cast<std::size_t>(y)]);
    }
    if (row.query != cells.queries.back()) return;  // the panel is not complete
    const double largest = *std::max_element(shares.begin(), shares.end());
    for (std::int64_t cell = 0; cell < cells.side * cells.side; ++cell) {
      const std::int64_t i = cell / cells.side, j = cell % cells.side;
      const double share = shares[static_cast<std::size_t>(cell)];
      grid.paint(place_of(layers, row.layer), place_of(drawing.heads, row.head), i, j,
                 j > i ? kFuture : mix(kCold, kRead, strength(share, largest)));
    }
    std::fill(shares.begin(), shares.end(), 0.0);
  });
  return grid.take();
}

}  // namespace longstride
