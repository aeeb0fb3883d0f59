// PNG pictures, as they are and with right checksums: without those hardly a changed byte gets beyond the first chunk.
#include <algorithm>

#include <zlib.h>

#include "fuzz/harness.h"
#include "io/picture.h"
#include "longstride/error.h"

namespace longstride::fuzz {
namespace {

void decode(Input bytes) {
  const Image image = decode_png(bytes, "picture.png");
  const std::int64_t pixels = std::int64_t{image.width} * image.height;
  require(pixels >= 1 && pixels * image.channels == static_cast<std::int64_t>(image.bytes.size()),
          "a picture has its shape");
}

// A chunk is its length, four letters, that many bytes, and the CRC of letters and bytes.
std::vector<std::uint8_t> with_checksums(Input bytes) {
  constexpr std::size_t kMagic = 8, kAround = 12;
  std::vector<std::uint8_t> mended(bytes.begin(), bytes.end());
  for (std::size_t at = kMagic; at + kAround <= mended.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | mended[at + i];
    if (length > mended.size() - at - kAround) break;
    const uLong crc = crc32(0, mended.data() + at + 4, static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i) mended[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at += kAround + length;
  }
  return mended;
}

void read_png(Input bytes) {
  const std::vector<std::uint8_t> mended = with_checksums(bytes);
  if (!std::equal(mended.begin(), mended.end(), bytes.begin())) {
    try {
      decode(mended);
    } catch (const Error&) {
      // As it is it may be refused for another reason.
    }
  }
  decode(bytes);
}

const Registered kPng("png", read_png);

}  // namespace
}  // namespace longstride::fuzz
