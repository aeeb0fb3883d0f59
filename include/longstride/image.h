// Pictures as bytes, row-major, channels side by side.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longstride {

struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;                 // 1 grey, 3 RGB
  std::vector<std::uint8_t> bytes;  // (height, width, channels)
};

// Writes a PNG, complete or not at all. Errors: exhausted where the system refuses.
void write_png(const Image& image, const std::string& path);

}  // namespace longstride
