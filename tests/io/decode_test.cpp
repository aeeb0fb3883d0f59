// These tests decode pictures that libpng and libjpeg made, whole, cut and damaged.
#include <fmt/format.h>
#include <rapidcheck.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "io/coded.h"
#include "io/picture.h"
#include "io/png.h"

namespace longstride {
namespace {

Image decode(const Bytes& bytes) {
  return picture_coding(bytes) == PictureCoding::png ? decode_png(bytes, "a") : decode_jpeg(bytes, "a");
}

std::string refusal(const Bytes& bytes) {
  return error_words(ErrorKind::corrupt_data, [&] { decode(bytes); });
}

TEST(DecodePng, GivesBackWhatWasEncoded) {
  for (const int channels : {1, 3}) {
    const Image image = ramp(13, 7, channels);
    const Image found = decode(encode_png(image));
    EXPECT_EQ(found.width, 13);
    EXPECT_EQ(found.height, 7);
    EXPECT_EQ(found.channels, channels);
    EXPECT_EQ(found.bytes, image.bytes);
  }
}

TEST(DecodePng, WidensGreyOfFewerBits) {
  EXPECT_EQ(decode(code_png({8, 1, 1, PNG_COLOR_TYPE_GRAY}, {{0b10110001}})).bytes,
            (Bytes{255, 0, 255, 255, 0, 0, 0, 255}));
  EXPECT_EQ(decode(code_png({4, 1, 2, PNG_COLOR_TYPE_GRAY}, {{0b00011011}})).bytes, (Bytes{0, 85, 170, 255}));
  EXPECT_EQ(decode(code_png({3, 1, 4, PNG_COLOR_TYPE_GRAY}, {{0x0f, 0x70}})).bytes, (Bytes{0, 255, 119}));
}

TEST(DecodePng, RoundsSixteenBits) {
  // round(v / 257): 0x00ff is 0.992 levels, 0x0180 1.49, 0x0182 1.502.
  const Image found =
      decode(code_png({5, 1, 16, PNG_COLOR_TYPE_GRAY}, {{0, 0xff, 1, 0x80, 1, 0x82, 0xff, 0xff, 0x80, 0}}));
  EXPECT_EQ(found.bytes, (Bytes{1, 1, 2, 255, 128}));
}

TEST(DecodePng, LooksColoursUpInThePalette) {
  const PngForm form{3, 1, 8, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, {{1, 2, 3}, {9, 8, 7}}, {}};
  EXPECT_EQ(decode(code_png(form, {{1, 0, 1}})).bytes, (Bytes{9, 8, 7, 1, 2, 3, 9, 8, 7}));
}

TEST(DecodePng, LaysTransparencyOverWhite) {
  EXPECT_EQ(decode(code_png({3, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA}, {{10, 255, 10, 0, 0, 128}})).bytes,
            (Bytes{10, 255, 127}));
  EXPECT_EQ(decode(code_png({1, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA}, {{0, 100, 255, 51}})).bytes, (Bytes{204, 224, 255}));
  const PngForm palette{2, 1, 8, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, {{1, 2, 3}, {9, 8, 7}}, {0}};
  EXPECT_EQ(decode(code_png(palette, {{0, 1}})).bytes, (Bytes{255, 255, 255, 9, 8, 7}));
  PngForm grey{2, 1, 8, PNG_COLOR_TYPE_GRAY};
  grey.transparent_grey = 7;
  EXPECT_EQ(decode(code_png(grey, {{7, 8}})).bytes, (Bytes{255, 8}));
}

TEST(DecodePng, ReadsInterlacedPictures) {
  const Image image = ramp(19, 11, 3);
  std::vector<Bytes> rows;
  for (int y = 0; y < 11; ++y) rows.emplace_back(image.bytes.begin() + y * 57, image.bytes.begin() + (y + 1) * 57);
  EXPECT_EQ(decode(code_png({19, 11, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7}, rows)).bytes, image.bytes);
}

// A pixel whose header claims other sides: width and height, big-endian.
Bytes png_that_claims(const Bytes& sides) {
  Bytes bytes = code_png({1, 1, 8, PNG_COLOR_TYPE_GRAY}, {{0}});
  std::copy(sides.begin(), sides.end(), bytes.begin() + 16);
  const png_uint_32 crc = static_cast<png_uint_32>(::crc32(0, bytes.data() + 12, 17));
  for (int i = 0; i < 4; ++i) bytes[29 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
  return bytes;
}

TEST(DecodePng, RefusesAPictureOfTooManyPixelsBeforeItIsDecoded) {
  EXPECT_EQ(refusal(png_that_claims({0, 1, 0, 0, 0, 0, 0x80, 0})),
            "\"a\" is a picture of 65536 x 32768; needs 1 to 100,000,000 pixels");
}

TEST(DecodePng, RefusesSidesThatItsBytesCannotFill) {
  EXPECT_EQ(refusal(png_that_claims({0, 0, 0x20, 0, 0, 0, 0x20, 0})),
            "\"a\" is a damaged PNG: 8192 x 8192 pixels do not fit into its bytes");
  const Bytes row(1000);
  const Bytes black = code_png({8000, 1000, 1, PNG_COLOR_TYPE_GRAY}, std::vector<Bytes>(1000, row));
  EXPECT_LT(black.size(), 8'000'000u / 5000);  // a picture that packs this well is read
  EXPECT_EQ(decode(black).bytes, Bytes(8'000'000));
}

Bytes head(const Bytes& bytes, std::size_t size) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

// As Pillow does: what follows the compressed rows, a checksum and the end chunk, says nothing of the pixels.
TEST(DecodePng, RefusesEveryFileThatIsCutBeforeItsLastRow) {
  const Image image = ramp(9, 9, 3);
  std::vector<Bytes> rows;
  for (int y = 0; y < 9; ++y) rows.emplace_back(image.bytes.begin() + y * 27, image.bytes.begin() + (y + 1) * 27);
  for (const int interlace : {PNG_INTERLACE_NONE, PNG_INTERLACE_ADAM7}) {
    const Bytes whole = code_png({9, 9, 8, PNG_COLOR_TYPE_RGB, interlace}, rows);
    const std::size_t end = whole.size() - 12 - 4;  // of what is compressed, before a checksum and the end chunk
    for (std::size_t size = 8; size < end; ++size) {
      EXPECT_NE(refusal(head(whole, size)).find("damaged PNG"), std::string::npos) << size;
    }
    for (std::size_t size = end; size <= whole.size(); ++size) {
      EXPECT_EQ(decode(head(whole, size)).bytes, image.bytes) << size;
    }
  }
}

#ifdef LONGSTRIDE_HAS_JPEGLIB

int largest_difference(const Bytes& a, const Bytes& b) {
  EXPECT_EQ(a.size(), b.size());
  int most = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

TEST(DecodeJpeg, GivesBackGreyAndColourWithinItsLoss) {
  for (const bool progressive : {false, true}) {
    const Image grey = ramp(40, 20, 1);
    const Image found = decode(code_jpeg(grey, 100, progressive));
    EXPECT_EQ(found.channels, 1);
    EXPECT_LE(largest_difference(found.bytes, grey.bytes), 3);
    Image colour{32, 16, 3, {}};  // even colours: what is left at quality 100 is rounding
    for (int i = 0; i < 32 * 16; ++i) colour.bytes.insert(colour.bytes.end(), {200, 100, 50});
    EXPECT_LE(largest_difference(decode(code_jpeg(colour, 100, progressive)).bytes, colour.bytes), 2);
  }
}

TEST(DecodeJpeg, TurnsInvertedCmykIntoRgb) {
  Image cmyk{16, 16, 4, {}};
  for (int i = 0; i < 256; ++i) cmyk.bytes.insert(cmyk.bytes.end(), {255, 128, 0, 200});
  const Image found = decode(code_jpeg(cmyk, 100));
  ASSERT_EQ(found.channels, 3);
  const Bytes first(found.bytes.begin(), found.bytes.begin() + 3);
  EXPECT_LE(largest_difference(first, {200, 100, 0}), 2);
}

TEST(DecodeJpeg, RefusesEveryCutFile) {
  for (const bool progressive : {false, true}) {
    for (const int channels : {1, 3}) {
      const Bytes whole = code_jpeg(ramp(64, 64, channels), 95, progressive);
      for (std::size_t size = 3; size < whole.size(); ++size) {
        ASSERT_NE(refusal(head(whole, size)).find("damaged JPEG"), std::string::npos) << size;
      }
    }
  }
}

// Telephones write a spectral end of 0 or 1 in the scan of a sequential picture; nothing reads it.
TEST(DecodeJpeg, TakesScanParametersThatSayNothingForNoDamage) {
  const Bytes whole = code_jpeg(ramp(24, 16, 1));
  const Bytes scan = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0};
  const auto found = std::search(whole.begin(), whole.end(), scan.begin(), scan.end()) - whole.begin();
  for (const Bytes& parameters : {Bytes{0, 0, 0}, Bytes{0, 1, 0}, Bytes{1, 63, 0}, Bytes{0, 63, 0x10}}) {
    Bytes other = whole;
    std::copy(parameters.begin(), parameters.end(), other.begin() + found + 7);
    EXPECT_EQ(decode(other).bytes, decode(whole).bytes);
  }
}

TEST(DecodeJpeg, TakesBytesThatBelongToNothingForNoDamage) {
  const Bytes whole = code_jpeg(ramp(24, 16, 3));
  Bytes longer = whole, between = whole;
  longer.insert(longer.end(), 100, 7);
  between.insert(between.begin() + 2, {1, 2, 3});  // before the second mark
  EXPECT_EQ(decode(longer).bytes, decode(whole).bytes);
  EXPECT_EQ(decode(between).bytes, decode(whole).bytes);
  Bytes version = whole;
  version[11] = 7;  // of JFIF: 7.1
  EXPECT_EQ(decode(version).bytes, decode(whole).bytes);
}

TEST(DecodeJpeg, TakesTheScansOfAProgressivePictureInAnyOrderThatHasAllData) {
  const Bytes whole = code_jpeg(ramp(64, 64, 1), 95, true);
  const Bytes codes = {0xff, 0xc4};  // each of the first scans follows a table of codes
  std::vector<Bytes::const_iterator> begins;
  for (auto at = whole.begin(); begins.size() < 3; begins.push_back(at++))
    at = std::search(at, whole.end(), codes.begin(), codes.end());
  Bytes other(whole.begin(), begins[0]);
  other.insert(other.end(), begins[1], begins[2]);  // details first, then the means of 8 x 8 pixels
  other.insert(other.end(), begins[0], begins[1]);
  other.insert(other.end(), begins[2], whole.end());
  EXPECT_EQ(decode(other).bytes, decode(whole).bytes);
  other.erase(other.begin() + (begins[0] - whole.begin()) + (begins[2] - begins[1]),
              other.begin() + (begins[2] - whole.begin()));
  EXPECT_NE(refusal(other).find("damaged JPEG"), std::string::npos);  // and the means are missing
}

TEST(DecodeJpeg, RefusesAProgressivePictureThatLacksAScan) {
  const Bytes whole = code_jpeg(ramp(64, 64, 3), 95, true);
  const Bytes mark = {0xff, 0xda};
  std::vector<std::ptrdiff_t> scans;
  for (auto at = whole.begin(); (at = std::search(at, whole.end(), mark.begin(), mark.end())) != whole.end(); ++at)
    scans.push_back(at - whole.begin());
  ASSERT_EQ(scans.size(), 10u);
  for (std::size_t scan = 0; scan < 6; ++scan) {  // the first bits of all coefficients; the rest refines them
    Bytes less(whole.begin(), whole.begin() + scans[scan]);
    less.insert(less.end(), whole.begin() + scans[scan + 1], whole.end());
    EXPECT_NE(refusal(less).find("damaged JPEG"), std::string::npos) << scan;
  }
}

// A picture whose header claims other sides: height and width, big-endian.
Bytes jpeg_that_claims(const Bytes& sides) {
  Bytes bytes = code_jpeg(ramp(8, 8, 1));
  const Bytes frame = {0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8};
  const auto found = std::search(bytes.begin(), bytes.end(), frame.begin(), frame.end());
  EXPECT_NE(found, bytes.end());
  std::copy(sides.begin(), sides.end(), found + 5);
  return bytes;
}

TEST(DecodeJpeg, RefusesAPictureOfTooManyPixelsBeforeItIsDecoded) {
  EXPECT_EQ(refusal(jpeg_that_claims({0xff, 0xdc, 0xff, 0xdc})),  // libjpeg's own limit
            "\"a\" is a picture of 65500 x 65500; needs 1 to 100,000,000 pixels");
}

TEST(DecodeJpeg, RefusesSidesThatItsBytesCannotFill) {
  EXPECT_EQ(refusal(jpeg_that_claims({0x20, 0, 0x20, 0})),
            "\"a\" is a damaged JPEG: 8192 x 8192 pixels do not fit into its bytes");
  const Image black{4000, 2000, 1, Bytes(8'000'000)};
  EXPECT_EQ(decode(code_jpeg(black, 50, true)).bytes, black.bytes);  // a few kB
}

TEST(DecodeJpeg, EndsWhereAPictureHasScansWithoutEnd) {
  Bytes bytes = code_jpeg(ramp(8, 8, 1), 90, true);
  const Bytes mark = {0xff, 0xda};
  const auto last = std::find_end(bytes.begin(), bytes.end(), mark.begin(), mark.end());
  const Bytes scan(last, bytes.end() - 2);
  Bytes many(bytes.begin(), bytes.end() - 2);
  for (int i = 0; i < 2000; ++i) many.insert(many.end(), scan.begin(), scan.end());
  many.insert(many.end(), {0xff, 0xd9});
  EXPECT_NE(refusal(many).find("damaged JPEG"), std::string::npos);
}

#else

TEST(DecodeJpeg, IsUnavailableWithoutLibjpeg) {
  const Bytes bytes = {0xff, 0xd8, 0xff, 0xe0};
  EXPECT_EQ(error_words(ErrorKind::unavailable, [&] { decode(bytes); }),
            "\"a\" is a JPEG, and this build has no libjpeg; build again where it is installed");
}

#endif

// Whatever a valid file turns into, it is decoded or refused with one sentence.
void survive_damage(const Bytes& whole) {
  const bool holds = rc::check([&]() {
    Bytes bytes = whole;
    const int flips = *rc::gen::inRange(0, 6);
    for (int i = 0; i < flips; ++i) {
      bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = *rc::gen::arbitrary<std::uint8_t>();
    }
    if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
    try {
      if (picture_coding(bytes) == PictureCoding::none) return;
      const Image image = decode(bytes);
      RC_ASSERT(static_cast<std::int64_t>(image.bytes.size()) ==
                std::int64_t{image.width} * image.height * image.channels);
    } catch (const Error& error) {
      RC_ASSERT(error.kind() == ErrorKind::corrupt_data);
    }
  });
  EXPECT_TRUE(holds);
}

TEST(DecodePng, SurvivesDamage) {
  survive_damage(encode_png(ramp(20, 20, 3)));
  survive_damage(
      code_png({4, 1, 2, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_ADAM7, {{1, 2, 3}, {9, 8, 7}}, {3}}, {{0x11}}));
}

#ifdef LONGSTRIDE_HAS_JPEGLIB
TEST(DecodeJpeg, SurvivesDamage) {
  survive_damage(code_jpeg(ramp(40, 40, 3)));
  survive_damage(code_jpeg(ramp(40, 40, 1), 80, true));
}
#endif

}  // namespace
}  // namespace longstride
