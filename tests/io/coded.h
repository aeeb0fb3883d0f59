// Pictures and sound for tests, coded through the same libraries that the readers use.
#pragma once

#include <png.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#ifdef LONGSTRIDE_HAS_JPEGLIB
#include <jpeglib.h>
#endif
#ifdef LONGSTRIDE_HAS_SNDFILE
#include <sndfile.h>
#endif

#include "io/scratch.h"
#include "longstride/image.h"

namespace longstride {

using Bytes = std::vector<std::uint8_t>;

// Smooth enough for JPEG, different in every pixel and channel.
inline Image ramp(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.bytes.push_back(static_cast<std::uint8_t>((3 * x + 5 * y + 40 * c) % 256));
      }
    }
  }
  return image;
}

struct PngForm {
  int width = 1, height = 1, depth = 8, colour = PNG_COLOR_TYPE_RGB, interlace = PNG_INTERLACE_NONE;
  std::vector<png_color> palette = {};
  Bytes palette_alpha = {};
  int transparent_grey = -1;
};

// rows: as PNG stores them, packed, 16 bits big-endian.
inline Bytes code_png(const PngForm& form, const std::vector<Bytes>& rows) {
  Bytes out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp p, png_bytep bytes, png_size_t size) {
    auto* to = static_cast<Bytes*>(png_get_io_ptr(p));
    to->insert(to->end(), bytes, bytes + size);
  };
  png_set_write_fn(png, &out, append, [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(form.width), static_cast<png_uint_32>(form.height), form.depth,
               form.colour, form.interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!form.palette.empty()) png_set_PLTE(png, info, form.palette.data(), static_cast<int>(form.palette.size()));
  png_color_16 grey = {};
  grey.gray = static_cast<png_uint_16>(std::max(0, form.transparent_grey));
  if (!form.palette_alpha.empty()) {
    png_set_tRNS(png, info, form.palette_alpha.data(), static_cast<int>(form.palette_alpha.size()), nullptr);
  } else if (form.transparent_grey >= 0) {
    png_set_tRNS(png, info, nullptr, 0, &grey);
  }
  std::vector<png_bytep> pointers;
  for (const Bytes& row : rows) pointers.push_back(const_cast<png_bytep>(row.data()));
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

#ifdef LONGSTRIDE_HAS_JPEGLIB
// channels 1, 3 (as RGB) or 4 (CMYK, stored as given).
inline Bytes code_jpeg(const Image& image, int quality = 95, bool progressive = false) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = image.channels;
  jpeg.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : image.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPROW>(image.bytes.data()) +
                std::size_t{jpeg.next_scanline} * static_cast<std::size_t>(image.width * image.channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  Bytes bytes(out, out + size);
  jpeg_destroy_compress(&jpeg);
  std::free(out);
  return bytes;
}
#endif

#ifdef LONGSTRIDE_HAS_SNDFILE
// samples: (frames, channels) in [-1, 1).
inline void put_sound(const std::string& path, int format, int rate, int channels, const std::vector<double>& samples) {
  SF_INFO info{};
  info.format = format;
  info.samplerate = rate;
  info.channels = channels;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
  const auto frames = static_cast<sf_count_t>(samples.size()) / channels;
  EXPECT_EQ(sf_writef_double(file, samples.data(), frames), frames);
  sf_close(file);
}
#endif

inline void put(const std::string& path, const Bytes& bytes) { put(path, std::string(bytes.begin(), bytes.end())); }

}  // namespace longstride
