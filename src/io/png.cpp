// This encodes PNG by libpng.
#include "io/png.h"

#include <png.h>

#include <csetjmp>
#include <new>

#include <fmt/format.h>

#include "io/file.h"
#include "longstride/error.h"

namespace longstride {
namespace {

struct Encoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<std::uint8_t> out;
  bool memory_gone = false;
  ~Encoder() { png_destroy_write_struct(&png, &info); }
};

// Called by libpng, which is C: no exception may pass through it.
void append(png_structp png, png_bytep bytes, png_size_t size) {
  auto* encoder = static_cast<Encoder*>(png_get_io_ptr(png));
  try {
    encoder->out.insert(encoder->out.end(), bytes, bytes + size);
  } catch (const std::bad_alloc&) {
    encoder->memory_gone = true;
  }
  if (encoder->memory_gone) png_error(png, "no memory");
}

void flush(png_structp) {}
void ignore_warning(png_structp, png_const_charp) {}
void leave(png_structp png, png_const_charp) { png_longjmp(png, 1); }

// False where libpng gave up. libpng leaves by longjmp: nothing with a destructor lives in this frame.
bool encode(Encoder& encoder, const Image& image) {
  if (setjmp(png_jmpbuf(encoder.png))) return false;
  png_set_write_fn(encoder.png, &encoder, append, flush);
  png_set_IHDR(encoder.png, encoder.info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height),
               8, image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(encoder.png, encoder.info);
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  for (int y = 0; y < image.height; ++y) {
    png_write_row(encoder.png, image.bytes.data() + static_cast<std::size_t>(y) * row_bytes);
  }
  png_write_end(encoder.png, encoder.info);
  return true;
}

}  // namespace

std::vector<std::uint8_t> encode_png(const Image& image) {
  constexpr int kMostPixels = 1'000'000;  // a side: libpng's own limit
  const auto outside = [](int pixels) { return pixels < 1 || pixels > kMostPixels; };
  if (outside(image.width) || outside(image.height) || (image.channels != 1 && image.channels != 3)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("a PNG needs sides in [1, {}] and 1 or 3 channels, got {} x {} with {}", kMostPixels,
                            image.width, image.height, image.channels));
  }
  const std::int64_t needed = std::int64_t{image.width} * image.height * image.channels;
  if (needed != static_cast<std::int64_t>(image.bytes.size())) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("a PNG of {} x {} with {} channels needs {} bytes, got {}", image.width, image.height,
                            image.channels, needed, image.bytes.size()));
  }
  Encoder encoder;
  encoder.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, leave, ignore_warning);
  if (encoder.png != nullptr) encoder.info = png_create_info_struct(encoder.png);
  if (encoder.info == nullptr || !encode(encoder, image)) {
    throw Error(ErrorKind::exhausted, fmt::format("no memory to encode a PNG of {} x {}", image.width, image.height));
  }
  return std::move(encoder.out);
}

void write_png(const Image& image, const std::string& path) { write_file_atomically(path, encode_png(image)); }

}  // namespace longstride
