// This tells by a file's first bytes what it is, and of pictures the format.
#include "io/picture.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"
#include "longstride/file.h"

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

std::string media_words(std::string_view beginning) {
  if (picture_coding(as_bytes(beginning)) != PictureCoding::none || beginning.starts_with("GIF8")) return "a picture";
  const std::string_view form = beginning.starts_with("RIFF") && beginning.size() >= 12 ? beginning.substr(8, 4) : "";
  if (form == "WEBP") return "a picture";
  return form == "WAVE" || beginning.starts_with("fLaC") ? "a recording" : "";
}

void check_pixels(std::int64_t width, std::int64_t height, const std::string& name) {
  if (width >= 1 && height >= 1 && width <= kMostPixels / height) return;
  throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" is a picture of {} x {}; needs 1 to {} pixels", name, width,
                                                   height, with_commas(kMostPixels)));
}

}  // namespace longstride
