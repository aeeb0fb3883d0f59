// These tests read with libpng what was written as PNG.
#include <png.h>

#include <cstring>

#include "io/png.h"
#include "io/scratch.h"
#include "longstride/image.h"

namespace longstride {
namespace {

Image gradient(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int i = 0; i < width * height * channels; ++i) image.bytes.push_back(static_cast<std::uint8_t>(i * 31));
  return image;
}

// Read by libpng's own simple interface.
Image decode(const std::vector<std::uint8_t>& png, int channels) {
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&header, png.data(), png.size()), 0) << header.message;
  header.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), channels, {}};
  image.bytes.resize(PNG_IMAGE_SIZE(header));
  EXPECT_NE(png_image_finish_read(&header, nullptr, image.bytes.data(), 0, nullptr), 0) << header.message;
  return image;
}

TEST(Picture, GivesBackItsPixels) {
  for (const int channels : {1, 3}) {
    for (const auto& [width, height] : {std::pair(1, 1), std::pair(7, 5), std::pair(300, 2)}) {
      const Image image = gradient(width, height, channels);
      const Image found = decode(encode_png(image), channels);
      EXPECT_EQ(found.width, width);
      EXPECT_EQ(found.height, height);
      EXPECT_EQ(found.bytes, image.bytes);
    }
  }
}

TEST(Picture, IsWrittenToAFileWhole) {
  const Scratch scratch;
  const Image image = gradient(4, 3, 3);
  write_png(image, scratch / "a.png");
  const std::string text = get(scratch / "a.png");
  EXPECT_EQ(decode({text.begin(), text.end()}, 3).bytes, image.bytes);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a.png"});
}

TEST(Picture, WhoseBytesDoNotFitIsAnError) {
  Image image = gradient(4, 3, 3);
  image.bytes.pop_back();
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { encode_png(image); }),
            "a PNG of 4 x 3 with 3 channels needs 36 bytes, got 35");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { encode_png(gradient(4, 3, 2)); }),
            "a PNG needs sides in [1, 1000000] and 1 or 3 channels, got 4 x 3 with 2");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument,
                        [&] {
                          encode_png(Image{0, 3, 1, {}});
                        }),
            "a PNG needs sides in [1, 1000000] and 1 or 3 channels, got 0 x 3 with 1");
}

TEST(Picture, InAPlaceThatDoesNotExistIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { write_png(gradient(2, 2, 1), "/nowhere/a.png"); }),
            "cannot write \"/nowhere/a.png\": No such file or directory");
}

}  // namespace
}  // namespace longstride
