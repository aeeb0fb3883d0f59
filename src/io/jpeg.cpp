// decode_jpeg of io/picture.h.
#include <cstdio>  // jpeglib.h needs it before

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "io/orientation.h"
#include "io/picture.h"
#include "longstride/error.h"

namespace longstride {
namespace {

// A progressive picture needs about ten; thousands of empty ones cost hours (libjpeg-turbo's own advice).
constexpr int kMostScans = 500;

constexpr int kExifMark = JPEG_APP0 + 1;
constexpr std::string_view kExif("Exif\0\0", 6);  // the first bytes behind a mark that Exif data follow

// libjpeg calls back into C: it leaves by longjmp, and nothing with a destructor lives in a frame that it can jump
// over.
struct Decoder {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf place{};
  char words[JMSG_LENGTH_MAX] = {};  // why libjpeg gave up
  bool doubtful = false;             // scans came in an order that only a picture with all its data may have
  std::vector<std::uint8_t> row;     // (width, components)
  Image image;
  ~Decoder() { jpeg_destroy_decompress(&jpeg); }
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

void give_up(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  jpeg->err->format_message(jpeg, decoder.words);
  std::longjmp(decoder.place, 1);
}

// Level -1 is a warning. Most say that data are missing or wrong and what is made up instead (a code that is none, a
// segment or a file that ends too early, a restart mark that is not the next one): those end the decoding. The others
// leave every pixel as it was coded: bytes that belong to nothing, versions and transforms that are not known, scan
// parameters that a sequential picture has no use for. One is harmless where all data are there in the end: details of
// a component (Ss > 0) that come before its means.
void judge(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_NOT_SEQUENTIAL:
      return;
    case JWRN_BOGUS_PROGRESSION:                                                  // of (component, coefficient)
      if (decoder_of(jpeg).jpeg.Ss == 0 || jpeg->err->msg_parm.i[1] != 0) break;  // a scan before this one is missing
      decoder_of(jpeg).doubtful = true;
      return;
    default:
      break;
  }
  give_up(jpeg);
}

// Whether every coefficient of a picture in several scans came to its last bit.
bool has_all_data(const jpeg_decompress_struct& jpeg) {
  for (int component = 0; component < jpeg.num_components; ++component) {
    const int* bits = jpeg.coef_bits[component];  // that are still to come; -1: nothing came
    if (std::any_of(bits, bits + DCTSIZE2, [](int left) { return left != 0; })) return false;
  }
  return true;
}

void say_nothing(j_common_ptr) {}

void count_scans(j_common_ptr jpeg) {
  if (decoder_of(jpeg).jpeg.input_scan_number <= kMostScans) return;
  std::snprintf(decoder_of(jpeg).words, JMSG_LENGTH_MAX, "it has more than %d scans", kMostScans);
  std::longjmp(decoder_of(jpeg).place, 1);
}

bool read_header(Decoder& decoder, std::span<const std::uint8_t> bytes) {
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg.err = jpeg_std_error(&decoder.errors);
  jpeg.client_data = &decoder;
  decoder.errors.error_exit = give_up;
  decoder.errors.emit_message = judge;
  decoder.errors.output_message = say_nothing;
  if (setjmp(decoder.place)) return false;
  jpeg_create_decompress(&jpeg);  // keeps err and client_data
  decoder.progress.progress_monitor = count_scans;
  jpeg.progress = &decoder.progress;
  jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
  jpeg_save_markers(&jpeg, kExifMark, 0xffff);
  jpeg_read_header(&jpeg, TRUE);
  const bool grey = jpeg.jpeg_color_space == JCS_GRAYSCALE;
  jpeg.out_color_space = grey ? JCS_GRAYSCALE : jpeg.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return true;
}

int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (jpeg_saved_marker_ptr mark = jpeg.marker_list; mark != nullptr; mark = mark->next) {
    const std::span<const std::uint8_t> bytes(mark->data, mark->data_length);
    const bool exif = mark->marker == kExifMark && bytes.size() >= kExif.size() &&
                      std::equal(kExif.begin(), kExif.end(), bytes.begin());
    if (exif) return exif_orientation(bytes.subspan(kExif.size()));
  }
  return 1;
}

// Inverted CMYK, 255 where there is no ink, to RGB: 255 - K lessened by the ink's share of it.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb) {
  for (std::size_t x = 0; x < pixels; ++x) {
    const int light = cmyk[4 * x + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int ink = 255 - cmyk[4 * x + c];
      rgb[3 * x + c] = static_cast<std::uint8_t>(light - (ink * light + 127) / 255);
    }
  }
}

bool read_rows(Decoder& decoder) {
  if (setjmp(decoder.place)) return false;
  jpeg_start_decompress(&decoder.jpeg);
  const std::size_t row_bytes =
      static_cast<std::size_t>(decoder.image.width) * static_cast<std::size_t>(decoder.image.channels);
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    std::uint8_t* out = decoder.image.bytes.data() + decoder.jpeg.output_scanline * row_bytes;
    const bool cmyk = decoder.jpeg.out_color_space == JCS_CMYK;
    JSAMPROW row = cmyk ? decoder.row.data() : out;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
    if (cmyk) cmyk_to_rgb(row, static_cast<std::size_t>(decoder.image.width), out);
  }
  const bool all = !decoder.doubtful || has_all_data(decoder.jpeg);  // finishing forgets it
  jpeg_finish_decompress(&decoder.jpeg);
  if (!all) std::snprintf(decoder.words, JMSG_LENGTH_MAX, "a scan is missing");
  return all;
}

[[noreturn]] void refuse(const Decoder& decoder, const std::string& name) {
  throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" is a damaged JPEG: {}", name, decoder.words));
}

// Throws where the file is too short for its sides: a block of at most 32 x 32 pixels takes at least a bit, so that a
// header alone cannot ask for memory. (Arithmetic coding could do with less for a picture of one colour.)
void check_length(const Decoder& decoder, std::size_t bytes, const std::string& name) {
  constexpr std::size_t kMostPixelsOfAByte = 8 * 32 * 32;
  const std::size_t width = decoder.jpeg.image_width, height = decoder.jpeg.image_height;
  if (width * height / kMostPixelsOfAByte <= bytes) return;
  throw Error(ErrorKind::corrupt_data,
              fmt::format("\"{}\" is a damaged JPEG: {} x {} pixels do not fit into its bytes", name, width, height));
}

}  // namespace

Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name) {
  Decoder decoder;
  if (!read_header(decoder, bytes)) refuse(decoder, name);
  check_pixels(decoder.jpeg.image_width, decoder.jpeg.image_height, name);
  check_length(decoder, bytes.size(), name);
  const int orientation = orientation_of(decoder.jpeg);  // finishing forgets the marks
  Image& image = decoder.image;
  image.width = static_cast<int>(decoder.jpeg.image_width);
  image.height = static_cast<int>(decoder.jpeg.image_height);
  image.channels = decoder.jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3;
  const auto pixels = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
  image.bytes.resize(pixels * static_cast<std::size_t>(image.channels));
  decoder.row.resize(4 * static_cast<std::size_t>(image.width));
  if (!read_rows(decoder)) refuse(decoder, name);
  return upright(std::move(image), orientation);
}

}  // namespace longstride
