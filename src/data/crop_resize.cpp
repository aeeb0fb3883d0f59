// This cuts the centre out of a picture and averages the pixels under each box of it.
#include "data/crop_resize.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace longstride {
namespace {

struct Span {
  std::int64_t begin = 0, end = 0;
};

struct Crop {
  std::int64_t left = 0, top = 0, width = 0, height = 0;
};

// a * b / c, rounded to the nearest, at least 1.
std::int64_t proportion(std::int64_t a, std::int64_t b, std::int64_t c) {
  return std::max<std::int64_t>(1, (2 * a * b + c) / (2 * c));
}

Crop centre_crop(const Image& image, std::int64_t height, std::int64_t width) {
  Crop crop{0, 0, image.width, image.height};
  if (image.width * height > image.height * width) {
    crop.width = std::min<std::int64_t>(image.width, proportion(image.height, width, height));
  } else {
    crop.height = std::min<std::int64_t>(image.height, proportion(image.width, height, width));
  }
  crop.left = (image.width - crop.width) / 2;
  crop.top = (image.height - crop.height) / 2;
  return crop;
}

// For each of `out` boxes along a side of `in` pixels, the pixels whose centres lie in it. The formula is Pillow's, in
// the same order of operations, so that a centre on the border of two boxes falls to the same one.
std::vector<Span> boxes(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), box = std::max(scale, 1.0);
  std::vector<Span> spans;
  for (std::int64_t o = 0; o < out; ++o) {
    const double centre = (static_cast<double>(o) + 0.5) * scale;
    Span span;
    span.begin = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - 0.5 * box + 0.5));
    span.end = std::min(in, static_cast<std::int64_t>(centre + 0.5 * box + 0.5));
    const auto outside = [&](std::int64_t pixel) {
      const double at = (static_cast<double>(pixel) - centre + 0.5) * (1.0 / box);
      return !(at > -0.5 && at <= 0.5);
    };
    while (span.end - span.begin > 1 && outside(span.begin)) ++span.begin;
    while (span.end - span.begin > 1 && outside(span.end - 1)) --span.end;
    spans.push_back(span);
  }
  return spans;
}

// Adds the row's bytes to the sums, both `count` long.
void add_row(const std::uint8_t* row, std::size_t count, std::uint32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += row[i];
}

}  // namespace

Image crop_and_resize(const Image& image, std::int64_t height, std::int64_t width) {
  if (image.height == height && image.width == width) return image;
  const Crop crop = centre_crop(image, height, width);
  const std::vector<Span> rows = boxes(crop.height, height), columns = boxes(crop.width, width);
  const auto C = static_cast<std::size_t>(image.channels);
  const auto row_bytes = static_cast<std::size_t>(crop.width) * C;
  // Over a box's rows: the crop has the target's aspect and at most 1e8 pixels, so a box has at most 1e4 rows.
  std::vector<std::uint32_t> sums(row_bytes);
  Image out{static_cast<int>(width), static_cast<int>(height), image.channels, {}};
  out.bytes.reserve(static_cast<std::size_t>(height * width) * C);
  for (const Span& box_rows : rows) {
    std::fill(sums.begin(), sums.end(), 0);
    for (std::int64_t y = box_rows.begin; y < box_rows.end; ++y) {
      const std::int64_t pixel = (crop.top + y) * image.width + crop.left;
      add_row(image.bytes.data() + static_cast<std::size_t>(pixel) * C, row_bytes, sums.data());
    }
    for (const Span& box_columns : columns) {
      const std::int64_t count = (box_rows.end - box_rows.begin) * (box_columns.end - box_columns.begin);
      for (std::size_t c = 0; c < C; ++c) {
        std::int64_t sum = 0;
        for (std::int64_t x = box_columns.begin; x < box_columns.end; ++x) {
          sum += sums[static_cast<std::size_t>(x) * C + c];
        }
        out.bytes.push_back(static_cast<std::uint8_t>((2 * sum + count) / (2 * count)));
      }
    }
  }
  return out;
}

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  Image out{image.width, image.height, channels, {}};
  const std::vector<std::uint8_t>& from = image.bytes;
  out.bytes.reserve(from.size() / static_cast<std::size_t>(image.channels) * static_cast<std::size_t>(channels));
  if (channels == 3) {
    for (const std::uint8_t grey : from) out.bytes.insert(out.bytes.end(), 3, grey);
  } else {
    for (std::size_t at = 0; at < from.size(); at += 3) {
      const unsigned luma = 19595u * from[at] + 38470u * from[at + 1] + 7471u * from[at + 2] + 0x8000u;
      out.bytes.push_back(static_cast<std::uint8_t>(luma >> 16));
    }
  }
  return out;
}

}  // namespace longstride
