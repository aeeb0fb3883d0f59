// Pictures decoded from memory: PNG and JPEG to 8 bits a channel, grey or RGB. `name` is the file's, for messages.
//
// Both are turned as their Exif data say (io/orientation.h); colour profiles and gamma are not applied.
//
// Errors: corrupt_data where the bytes are cut, damaged or no such picture, or where the header promises more than
// kMostPixels (nothing is allocated then); unavailable where this build has no libjpeg.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "longstride/image.h"

namespace longstride {

inline constexpr std::int64_t kMostPixels = 100'000'000;  // 300 MB as RGB

enum class PictureCoding { none, png, jpeg };

// By the first bytes, whatever the file is called.
PictureCoding picture_coding(std::span<const std::uint8_t> bytes);

// Grey of 1 to 16 bits comes as 1 channel, colours and palettes as 3; 16 bits are rounded to 8. Transparency is laid
// over white.
Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name);

// Grey comes as 1 channel, all else as 3; CMYK is read as Adobe's programs write it, inverted.
Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name);

// Throws where a picture of these sides is refused.
void check_pixels(std::int64_t width, std::int64_t height, const std::string& name);

}  // namespace longstride
