// JPEG pictures.
#include "fuzz/harness.h"
#include "io/picture.h"

namespace longstride::fuzz {
namespace {

void read_jpeg(Input bytes) {
  const Image image = decode_jpeg(bytes, "picture.jpg");
  const std::int64_t pixels = std::int64_t{image.width} * image.height;
  require(pixels >= 1 && pixels * image.channels == static_cast<std::int64_t>(image.bytes.size()),
          "a picture has its shape");
}

const Registered kJpeg("jpeg", read_jpeg);

}  // namespace
}  // namespace longstride::fuzz
