// decode_png of io/picture.h.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "io/orientation.h"
#include "io/picture.h"
#include "longstride/error.h"

namespace longstride {
namespace {

// libpng leaves by longjmp: nothing with a destructor lives in a frame that it can jump over.
struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::uint8_t> rest;  // not read yet
  std::array<char, 128> words{};       // why libpng gave up
  bool ended = false;                  // libpng wanted more than there is
  png_uint_32 width = 0, height = 0;
  std::uint64_t rows_left = 0;      // of all passes, not decoded yet
  int channels = 0;                 // as decoded: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
  std::vector<std::uint8_t> bytes;  // (height, width, channels)
  std::vector<png_bytep> rows;      // (height)
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

void give_up(png_structp png, png_const_charp words) {
  auto* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
  std::strncpy(decoder->words.data(), words, decoder->words.size() - 1);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void take(png_structp png, png_bytep out, png_size_t size) {
  auto* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
  decoder->ended = size > decoder->rest.size();
  if (decoder->ended) png_error(png, "the file ends too early");
  std::copy_n(decoder->rest.begin(), size, out);
  decoder->rest = decoder->rest.subspan(size);
}

void count_row(png_structp png, png_row_infop, png_bytep) {
  --static_cast<Decoder*>(png_get_user_transform_ptr(png))->rows_left;
}

// That count_row will see: an interlaced picture comes in seven passes, of which small ones lack some.
std::uint64_t rows_in_all(const Decoder& decoder) {
  if (png_get_interlace_type(decoder.png, decoder.info) == PNG_INTERLACE_NONE) return decoder.height;
  std::uint64_t rows = 0;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
    if (PNG_PASS_COLS(decoder.width, pass) > 0) rows += PNG_PASS_ROWS(decoder.height, pass);
  }
  return rows;
}

bool read_header(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png))) return false;
  // The sides are checked against kMostPixels, with words of our own.
  png_set_user_limits(decoder.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_read_fn(decoder.png, &decoder, take);
  png_read_info(decoder.png, decoder.info);
  decoder.width = png_get_image_width(decoder.png, decoder.info);
  decoder.height = png_get_image_height(decoder.png, decoder.info);
  return true;
}

// Throws where the file is too short for its sides: deflate makes at most 1,032 bytes of one, so that a header alone
// cannot ask for memory.
void check_length(const Decoder& decoder, const std::string& name) {
  constexpr std::size_t kMostMadeOfAByte = 1032;
  const std::size_t packed_bytes = png_get_rowbytes(decoder.png, decoder.info) * std::size_t{decoder.height};
  if (packed_bytes / kMostMadeOfAByte <= decoder.rest.size()) return;
  throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" is a damaged PNG: {} x {} pixels do not fit into its bytes",
                                                   name, decoder.width, decoder.height));
}

// After the sides were checked: libpng allocates a row here.
bool choose_form(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png))) return false;
  png_set_expand(decoder.png);    // palettes, fewer than 8 bits, a transparent colour
  png_set_scale_16(decoder.png);  // rounded, not cut
  png_set_interlace_handling(decoder.png);
  decoder.rows_left = rows_in_all(decoder);
  png_set_read_user_transform_fn(decoder.png, count_row);
  png_set_user_transform_info(decoder.png, &decoder, 0, 0);
  png_read_update_info(decoder.png, decoder.info);
  decoder.channels = png_get_channels(decoder.png, decoder.info);
  return true;
}

// A file that ends behind what is compressed has all of its pixels: what follows says nothing of them.
bool read_rows(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png))) return decoder.ended && decoder.rows_left == 0;
  png_read_image(decoder.png, decoder.rows.data());
  png_read_end(decoder.png, decoder.info);  // Exif data may follow the pixels
  return true;
}

int orientation_of(const Decoder& decoder) {
  png_uint_32 size = 0;
  png_bytep exif = nullptr;
  const bool there = png_get_eXIf_1(decoder.png, decoder.info, &size, &exif) != 0;
  return there ? exif_orientation({exif, size}) : 1;
}

[[noreturn]] void refuse(const Decoder& decoder, const std::string& name) {
  throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" is a damaged PNG: {}", name, decoder.words.data()));
}

// Lays (pixels, colours + alpha) over white.
std::vector<std::uint8_t> over_white(const std::vector<std::uint8_t>& bytes, std::size_t colours) {
  std::vector<std::uint8_t> out;
  out.reserve(bytes.size() / (colours + 1) * colours);
  for (std::size_t at = 0; at < bytes.size(); at += colours + 1) {
    const unsigned alpha = bytes[at + colours];
    for (std::size_t c = 0; c < colours; ++c) {
      out.push_back(static_cast<std::uint8_t>((bytes[at + c] * alpha + 255 * (255 - alpha) + 127) / 255));
    }
  }
  return out;
}

}  // namespace

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  Decoder decoder;
  decoder.rest = bytes;
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, give_up, ignore_warning);
  if (decoder.png != nullptr) decoder.info = png_create_info_struct(decoder.png);
  if (decoder.info == nullptr) throw Error(ErrorKind::exhausted, fmt::format("no memory to decode \"{}\"", name));
  if (!read_header(decoder)) refuse(decoder, name);
  check_pixels(decoder.width, decoder.height, name);
  check_length(decoder, name);
  if (!choose_form(decoder)) refuse(decoder, name);
  const std::size_t row_bytes = std::size_t{decoder.width} * static_cast<std::size_t>(decoder.channels);
  decoder.bytes.resize(row_bytes * decoder.height);
  for (std::size_t y = 0; y < decoder.height; ++y) decoder.rows.push_back(decoder.bytes.data() + y * row_bytes);
  if (!read_rows(decoder)) refuse(decoder, name);
  const bool transparent = decoder.channels == 2 || decoder.channels == 4;
  const int colours = decoder.channels - (transparent ? 1 : 0);
  Image image{static_cast<int>(decoder.width), static_cast<int>(decoder.height), colours, {}};
  image.bytes = transparent ? over_white(decoder.bytes, static_cast<std::size_t>(colours)) : std::move(decoder.bytes);
  return upright(std::move(image), orientation_of(decoder));
}

}  // namespace longstride
