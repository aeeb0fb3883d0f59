// How long does it take to load photographs? loading [--data FOLDER] [--side S] [--runs R]: from JPEG files to the
// decoded file of a data set: found, decoded, cropped, resized, written, hashed, on all cores. Without --data it makes
// 1,000 pictures of 500 x 375 with the statistics of photographs in a scratch folder. Prints one JSON line.
#include <cstdio>  // jpeglib.h needs it before

#include <jpeglib.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "data/dataset.h"
#include "harness.h"
#include "io/file.h"
#include "io/picture.h"
#include "ops/philox.h"

namespace {

using namespace longstride;
namespace fs = std::filesystem;

constexpr int kPictures = 1000, kDifferent = 40, kWidth = 500, kHeight = 375, kQuality = 92;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "longstride-loading-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a folder in the temporary one");
    path_ = pattern;
  }
  ~ScratchFolder() { fs::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// Noise of every octave, interpolated, its amplitude falling with the frequency: the spectrum of photographs. A little
// of each channel's own over what they share.
Image photograph(std::uint32_t seed) {
  Image image{kWidth, kHeight, 3, {}};
  std::vector<float> light(static_cast<std::size_t>(kWidth * kHeight * 3), 128);
  const PhiloxKey key = philox_key(seed, Purpose::test);
  for (int octave = 0, step = 256; step >= 1; ++octave, step /= 2) {
    const auto noise = [&](int y, int x, int c) {
      const auto at = static_cast<std::uint32_t>(((y * 1024 + x) * 4) + c);
      return uniform_float(philox({at, static_cast<std::uint32_t>(octave), 0, 0}, key)[0]) - 0.5f;
    };
    const int across = kWidth / step + 2, down = kHeight / step + 2;
    std::vector<float> grid(static_cast<std::size_t>(across * down * 3));
    for (int y = 0; y < down; ++y) {
      for (int x = 0; x < across; ++x) {
        for (int c = 0; c < 3; ++c)
          grid[static_cast<std::size_t>((y * across + x) * 3 + c)] = noise(y, x, 3) + 0.3f * noise(y, x, c);
      }
    }
    const float strength = 110 * std::pow(static_cast<float>(step) / 256, 0.37f);
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const float dy = static_cast<float>(y % step) / step, dx = static_cast<float>(x % step) / step;
        for (int c = 0; c < 3; ++c) {
          const float* g = grid.data() + ((y / step) * across + x / step) * 3 + c;
          const float upper = g[0] + dx * (g[3] - g[0]),
                      lower = g[across * 3] + dx * (g[across * 3 + 3] - g[across * 3]);
          light[static_cast<std::size_t>((y * kWidth + x) * 3 + c)] += strength * (upper + dy * (lower - upper));
        }
      }
    }
  }
  for (const float value : light) image.bytes.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.f, 255.f)));
  return image;
}

std::vector<std::uint8_t> code_jpeg(const Image& image) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_width = kWidth;
  jpeg.image_height = kHeight;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, kQuality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPROW>(image.bytes.data()) + std::size_t{jpeg.next_scanline} * kWidth * 3;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::vector<std::uint8_t> bytes(out, out + size);
  jpeg_destroy_compress(&jpeg);
  std::free(out);
  return bytes;
}

void make_photographs(const std::string& folder) {
  fs::create_directories(folder);
  for (int made = 0; made < kDifferent; ++made) {
    const std::vector<std::uint8_t> bytes = code_jpeg(photograph(static_cast<std::uint32_t>(made)));
    for (int copy = made; copy < kPictures; copy += kDifferent) {
      write_file_atomically(folder + "/" + std::to_string(10000 + copy) + ".jpg", bytes);
    }
  }
}

struct Loading {
  DataConfig config;
  std::int64_t pictures = 0;

  Dataset load() const {
    fs::remove_all(config.cache);
    return Dataset(config);
  }

  // The first picture against its whole decode and the mean over each box, in double. A pixel whose centre lies on the
  // border of two boxes is the first one's.
  bool sound(const std::string& first) {
    const Dataset data = load();
    pictures = data.size() / data.unit();
    std::vector<std::uint8_t> found(static_cast<std::size_t>(data.unit()));
    data.read(0, found);
    const std::vector<std::uint8_t> bytes = InputFile(first).all();
    if (picture_coding(bytes) != PictureCoding::jpeg) return false;
    const Image whole = decode_jpeg(bytes, first);
    const int S = static_cast<int>(config.image_size[0]), side = std::min(whole.width, whole.height),
              C = whole.channels;
    const int left = (whole.width - side) / 2, top = (whole.height - side) / 2;
    if (side < S) return false;
    const auto begin = [&](int cell) { return static_cast<int>(std::floor(double(cell) * side / S - 0.5) + 1); };
    for (int y = 0; y < S; ++y) {
      for (int x = 0; x < S; ++x) {
        for (int c = 0; c < 3; ++c) {
          double sum = 0;
          for (int v = begin(y); v < begin(y + 1); ++v) {
            for (int u = begin(x); u < begin(x + 1); ++u)
              sum += whole.bytes[static_cast<std::size_t>(((top + v) * whole.width + left + u) * C + (C == 3 ? c : 0))];
          }
          const double mean = sum / ((begin(y + 1) - begin(y)) * (begin(x + 1) - begin(x)));
          if (!(std::abs(mean - found[static_cast<std::size_t>((y * S + x) * 3 + c)]) <= 1)) return false;
        }
      }
    }
    return true;
  }
};

int measure(const std::string& given, std::int64_t side, int runs) {
  const ScratchFolder scratch;
  const std::string folder = given.empty() ? scratch / "photographs" : given;
  if (given.empty()) make_photographs(folder);
  Loading loading;
  loading.config.kind = "image";
  loading.config.paths = {folder};
  loading.config.image_size = {side, side};
  loading.config.cache = scratch / "cache";
  std::vector<std::string> files;
  std::int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    files.push_back(entry.path().string());
    bytes += static_cast<std::int64_t>(entry.file_size());
  }
  if (files.empty() || !loading.sound(*std::min_element(files.begin(), files.end()))) {
    std::fprintf(stderr, "loading: the first picture is no JPEG or not what it should be, nothing is timed\n");
    return 1;
  }
  const bench::Times times = bench::alternate({[&] { loading.load(); }}, runs).front();
  bench::print(times, {{"pictures_per_s", static_cast<double>(loading.pictures) / bench::median(times.wall_s)},
                       {"processor_s", bench::median(times.processor_s)},
                       {"pictures", loading.pictures},
                       {"bytes_per_picture", bytes / static_cast<std::int64_t>(files.size())},
                       {"side", side},
                       {"data", given.empty() ? "made" : given}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"How long does it take to load photographs?"};
  std::string data;
  std::int64_t side = 64;
  int runs = 5;
  app.add_option("--data", data, "A folder of JPEG files, none in folders below it")->type_name("FOLDER");
  app.add_option("--side", side, "Of the square that pictures are brought to")->capture_default_str();
  app.add_option("--runs", runs)->capture_default_str()->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  try {
    return measure(data, side, runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "loading: %s\n", error.what());
    return 1;
  }
}
