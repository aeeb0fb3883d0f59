// These tests turn pictures by what Exif data say. The expected pixels are those of Pillow 13.0
// (ImageOps.exif_transpose) for the same files.
#include "io/orientation.h"

#include <rapidcheck.h>
#include <zlib.h>

#include <algorithm>

#include "io/coded.h"
#include "io/picture.h"
#include "io/png.h"

namespace longstride {
namespace {

// Three columns, two rows; each orientation's pixels row by row, from 1 to 8.
const Bytes kPixels = {10, 20, 30, 40, 50, 60};
const std::vector<Bytes> kUpright = {{10, 20, 30, 40, 50, 60}, {30, 20, 10, 60, 50, 40}, {60, 50, 40, 30, 20, 10},
                                     {40, 50, 60, 10, 20, 30}, {10, 40, 20, 50, 30, 60}, {40, 10, 50, 20, 60, 30},
                                     {60, 30, 50, 20, 40, 10}, {30, 60, 20, 50, 10, 40}};

// As Pillow writes it: big-endian, one entry.
Bytes exif(int orientation) {
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, static_cast<std::uint8_t>(orientation),
          0,   0,   0, 0,  0, 0};
}

// Little-endian, behind another entry.
Bytes little_exif(int orientation) {
  Bytes bytes = {'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0, 0x0f, 1, 2, 0, 1, 0, 0, 0, 'x', 0, 0, 0};
  bytes.insert(bytes.end(), {18, 1, 3, 0, 1, 0, 0, 0, static_cast<std::uint8_t>(orientation), 0, 0, 0, 0, 0, 0, 0});
  return bytes;
}

Bytes chunk(const std::string& name, const Bytes& bytes) {
  Bytes out;
  const auto put_number = [&](std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
  };
  put_number(static_cast<std::uint32_t>(bytes.size()));
  out.insert(out.end(), name.begin(), name.end());
  out.insert(out.end(), bytes.begin(), bytes.end());
  put_number(static_cast<std::uint32_t>(::crc32(0, out.data() + 4, static_cast<uInt>(out.size() - 4))));
  return out;
}

// A PNG with the chunk eXIf before its pixels or behind them.
Bytes png_with(const Bytes& exif, bool behind) {
  Bytes bytes = encode_png({3, 2, 1, kPixels});
  const Bytes extra = chunk("eXIf", exif);
  constexpr std::ptrdiff_t kHeaderEnd = 8 + 25, kEnd = 12;
  bytes.insert(behind ? bytes.end() - kEnd : bytes.begin() + kHeaderEnd, extra.begin(), extra.end());
  return bytes;
}

TEST(Orientation, IsFoundInBothOrdersOfBytes) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(exif_orientation(exif(orientation)), orientation);
    EXPECT_EQ(exif_orientation(little_exif(orientation)), orientation);
  }
}

// Of the types of TIFF with whole numbers, where as many as are said lie in the entry itself.
TEST(Orientation, IsAWholeNumberOfAnyType) {
  const auto of = [](int type, int count, const Bytes& value) {
    Bytes bytes = exif(1);
    bytes[13] = static_cast<std::uint8_t>(type);
    bytes[17] = static_cast<std::uint8_t>(count);
    std::copy(value.begin(), value.end(), bytes.begin() + 18);
    return exif_orientation(bytes);
  };
  for (const int type : {4, 9, 13}) {
    EXPECT_EQ(of(type, 1, {0, 0, 0, 6}), 6) << type;
    EXPECT_EQ(of(type, 2, {0, 0, 0, 6}), 1) << type;
    EXPECT_EQ(of(type, 1, {0, 6, 0, 0}), 1) << type;
  }
  for (const int type : {3, 8}) EXPECT_EQ(of(type, 2, {0, 6, 0, 1}), 6) << type;
  EXPECT_EQ(of(6, 1, {6, 0, 0, 0}), 6);
  for (const int type : {1, 2, 5, 7, 10, 11, 12}) EXPECT_EQ(of(type, 1, {6, 6, 6, 6}), 1) << type;
  EXPECT_EQ(of(3, 0, {0, 6, 0, 0}), 1);
  Bytes little = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 18, 1, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(exif_orientation(little), 8);
}

TEST(Orientation, IsNoneWhereTheDataSayNothingThatCanBeRead) {
  for (const int strange : {0, 9, 255}) EXPECT_EQ(exif_orientation(exif(strange)), 1);
  EXPECT_EQ(exif_orientation({}), 1);
  const Bytes whole = exif(6);
  for (std::size_t size = 0; size < 20; ++size) EXPECT_EQ(exif_orientation({whole.data(), size}), 1) << size;
  Bytes other = whole;
  other[13] = 2;  // a text
  EXPECT_EQ(exif_orientation(other), 1);
  Bytes far = whole;
  std::fill_n(far.begin() + 4, 4, std::uint8_t{0xff});  // the directory lies beyond any end
  EXPECT_EQ(exif_orientation(far), 1);
}

TEST(Orientation, OfAnyBytesIsOneOfTheEight) {
  const bool holds = rc::check([](const Bytes& tail) {
    for (const int whole : {6, 8}) {
      Bytes bytes = whole == 6 ? exif(whole) : little_exif(whole);
      std::copy_n(tail.begin(), std::min(tail.size(), bytes.size() - 4), bytes.begin() + 4);
      const int found = exif_orientation(bytes);
      RC_ASSERT(found >= 1 && found <= 8);
    }
  });
  EXPECT_TRUE(holds);
}

TEST(Orientation, TurnsAPngAsPillowDoes) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool behind : {false, true}) {
      const Image image = decode_png(png_with(exif(orientation), behind), "a");
      EXPECT_EQ(image.width, orientation < 5 ? 3 : 2);
      EXPECT_EQ(image.height, orientation < 5 ? 2 : 3);
      EXPECT_EQ(image.bytes, kUpright[static_cast<std::size_t>(orientation - 1)]) << orientation << behind;
    }
  }
}

TEST(Orientation, MovesThePixelsOfColoursWhole) {
  const Image image = upright({2, 1, 3, {1, 2, 3, 4, 5, 6}}, 8);
  EXPECT_EQ(image.width, 1);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.bytes, (Bytes{4, 5, 6, 1, 2, 3}));
}

#ifdef LONGSTRIDE_HAS_JPEGLIB

// Behind the mark of the file's beginning, as cameras do.
Bytes jpeg_with(const Image& image, const Bytes& exif) {
  Bytes bytes = code_jpeg(image);
  Bytes mark = {0xff, 0xe1, 0, static_cast<std::uint8_t>(8 + exif.size()), 'E', 'x', 'i', 'f', 0, 0};
  mark.insert(mark.end(), exif.begin(), exif.end());
  bytes.insert(bytes.begin() + 2, mark.begin(), mark.end());
  return bytes;
}

TEST(Orientation, TurnsAJpegAsPillowDoes) {
  Image image{24, 16, 1, {}};  // each pixel of kPixels as a block, which JPEG keeps to the level
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 24; ++x) image.bytes.push_back(kPixels[static_cast<std::size_t>(y / 8 * 3 + x / 8)]);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image found = decode_jpeg(jpeg_with(image, exif(orientation)), "a");
    ASSERT_EQ(found.width, orientation < 5 ? 24 : 16);
    ASSERT_EQ(found.height, orientation < 5 ? 16 : 24);
    Bytes blocks;
    for (int y = 4; y < found.height; y += 8)
      for (int x = 4; x < found.width; x += 8)
        blocks.push_back(found.bytes[static_cast<std::size_t>(y * found.width + x)]);
    const Bytes& wanted = kUpright[static_cast<std::size_t>(orientation - 1)];
    ASSERT_EQ(blocks.size(), wanted.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_LE(std::abs(blocks[i] - wanted[i]), 2) << orientation;
  }
}

#endif

}  // namespace
}  // namespace longstride
