// The header of a .npy file: pictures as numpy saves them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace longstride {

struct NpyPictures {
  std::int64_t count = 0, height = 0, width = 0;
  int channels = 0;             // 1 or 3
  std::int64_t first_byte = 0;  // of the first picture; from there on they lie without a gap up to the file's end
};

bool is_npy(std::span<const std::uint8_t> bytes);  // by its first bytes

inline constexpr std::int64_t kNpyHeaderBytes = (1 << 16) + 64;  // no header that can be read is longer

// Versions 1 to 3, uint8, C order, shape (N, H, W), (N, H, W, 1) or (N, H, W, 3). Three extents may also be one
// picture, (H, W, 1) or (H, W, 3): `size`, [height, width] of the pictures that are wanted or empty, says which.
// `bytes`: the file, or its beginning of kNpyHeaderBytes at least, and `file_bytes` the number of it all; `name`: the
// file's, for messages. Error corrupt_data where it is anything else, cut, longer than its shape, or of a shape that may
// be both.
NpyPictures read_npy(std::span<const std::uint8_t> bytes, const std::string& name, std::int64_t file_bytes,
                     std::span<const std::int64_t> size);

}  // namespace longstride
