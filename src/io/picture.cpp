// This finds a picture's format by its first bytes and hands it to the decoder of that format.
#include "io/picture.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"

namespace longstride {

PictureCoding picture_coding(std::span<const std::uint8_t> bytes) {
  constexpr std::array<std::uint8_t, 8> kPng = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  constexpr std::array<std::uint8_t, 3> kJpeg = {0xff, 0xd8, 0xff};
  const auto begins_with = [&](const auto& mark) {
    return bytes.size() >= mark.size() && std::equal(mark.begin(), mark.end(), bytes.begin());
  };
  if (begins_with(kPng)) return PictureCoding::png;
  return begins_with(kJpeg) ? PictureCoding::jpeg : PictureCoding::none;
}

void check_pixels(std::int64_t width, std::int64_t height, const std::string& name) {
  if (width >= 1 && height >= 1 && width <= kMostPixels / height) return;
  throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" is a picture of {} x {}; needs 1 to {} pixels", name, width,
                                                   height, with_commas(kMostPixels)));
}

}  // namespace longstride
