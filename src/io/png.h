// A PNG in memory; write_png of longstride/image.h puts it into a file.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/image.h"

namespace longstride {

// Error invalid_argument where the bytes do not fit the extents or channels are neither 1 nor 3.
std::vector<std::uint8_t> encode_png(const Image& image);

}  // namespace longstride
