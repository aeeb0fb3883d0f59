// longstride/image.h: a model's tokens as a picture, a picture as tokens, and pictures side by side.
#include <algorithm>

#include <fmt/format.h>

#include "data/picture_files.h"
#include "data/tokens_of_file.h"
#include "io/words.h"
#include "longstride/error.h"
#include "longstride/image.h"

namespace longstride {
namespace {

constexpr std::int64_t kGap = 2;  // pixels between neighbours

PictureShape shape_of(const DataConfig& data) {
  if (data.image_size.size() == 2 && data.channels > 0) return {data.image_size[0], data.image_size[1], data.channels};
  throw_invalid(
      "data.image_size: the configuration does not say which pictures the model makes; needs image_size and channels");
}

Image blank(std::int64_t height, std::int64_t width, std::int64_t channels, std::uint8_t level) {
  Image image{static_cast<int>(width), static_cast<int>(height), static_cast<int>(channels), {}};
  image.bytes.assign(static_cast<std::size_t>(height * width * channels), level);
  return image;
}

}  // namespace

Image token_picture(const DataConfig& data, std::span<const std::uint8_t> tokens) {
  const PictureShape shape = shape_of(data);
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (count > shape.bytes()) {
    throw_invalid(fmt::format("a picture of {} is {} tokens, got {}", shape.words(), with_commas(shape.bytes()),
                              with_commas(count)));
  }
  Image image = blank(shape.height, shape.width, shape.channels, 0);
  std::copy(tokens.begin(), tokens.end(), image.bytes.begin());
  return image;
}

Image read_picture(const std::string& path, const DataConfig& data) {
  DataConfig picture = data;
  picture.kind = "image";
  return token_picture(data, tokens_of_file(path, picture));
}

Image picture_grid(const std::vector<Image>& pictures, std::int64_t columns) {
  const auto count = static_cast<std::int64_t>(pictures.size());
  if (count == 0 || columns < 1) throw_invalid("a grid of pictures needs at least one of them and one column");
  columns = std::min(columns, count);
  const Image& first = pictures.front();
  const std::int64_t H = first.height, W = first.width, C = first.channels, rows = (count + columns - 1) / columns;
  Image grid = blank(rows * (H + kGap) - kGap, columns * (W + kGap) - kGap, C, 255);
  for (std::int64_t at = 0; at < count; ++at) {
    const Image& image = pictures[static_cast<std::size_t>(at)];
    if (image.height != H || image.width != W || image.channels != C)
      throw_invalid("a grid needs pictures of one shape");
    const std::int64_t top = at / columns * (H + kGap), left = at % columns * (W + kGap);
    for (std::int64_t y = 0; y < H; ++y) {
      std::copy_n(image.bytes.begin() + y * W * C, W * C, grid.bytes.begin() + ((top + y) * grid.width + left) * C);
    }
  }
  return grid;
}

}  // namespace longstride
