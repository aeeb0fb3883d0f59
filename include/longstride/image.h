// Pictures as bytes, row-major, channels side by side; models of pictures have these bytes for tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct DataConfig;  // longstride/config.h

struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;                 // 1 grey, 3 RGB
  std::vector<std::uint8_t> bytes;  // (height, width, channels)
};

// Writes a PNG, complete or not at all. Errors: exhausted where the system refuses.
void write_png(const Image& image, const std::string& path);

// The picture that a model's tokens are, its shape that of `data` (image_size, channels); where tokens are missing it
// is black. Error invalid_argument where data has no shape or the tokens are more than a picture.
Image token_picture(const DataConfig& data, std::span<const std::uint8_t> tokens);

// The first picture of a file as training reads it: PNG, JPEG, .npy or what else data.paths may name, cropped, resized
// and brought to data's channels. Its bytes are the tokens. Errors: those of unreadable files, with their names.
Image read_picture(const std::string& path, const DataConfig& data);

// Pictures of one shape row by row, `columns` side by side, with two white pixels between neighbours.
Image picture_grid(const std::vector<Image>& pictures, std::int64_t columns);

}  // namespace longstride
#pragma GCC visibility pop
