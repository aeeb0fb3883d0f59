// This looks into picture files for what they hold, and decodes one picture of them.
#include "data/picture_files.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/files.h"
#include "data/npy.h"
#include "io/file.h"
#include "io/picture.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

using Form = PictureFile::Form;

constexpr PictureShape kCifarShape{32, 32, 3};
constexpr std::int64_t kCifarRecord = 1 + 3 * 32 * 32;  // the label before the planes
constexpr std::int64_t kCifarRecords = 10'000;          // of an official file

// A file that consists of `unit` bytes again and again.
std::int64_t whole_units(const InputFile& file, std::int64_t unit, const std::string& what) {
  if (file.size() % unit == 0) return file.size() / unit;
  throw_corrupt(file.path(), fmt::format("is cut: {} bytes are no whole number of {} of {} bytes",
                                         with_commas(file.size()), what, with_commas(unit)));
}

PictureFile raw_array(const InputFile& file, const DataConfig& config) {
  if (config.image_size.empty()) {
    throw_invalid(
        fmt::format("data.image_size: \"{}\" is a raw array; needs [height, width] of its pictures", file.path()));
  }
  const PictureShape shape{config.image_size[0], config.image_size[1], config.channels == 1 ? 1 : 3};
  return {file.path(), Form::array, whole_units(file, shape.bytes(), "pictures of " + shape.words()), 0, shape};
}

PictureFile look_into(const std::string& path, const DataConfig& config) {
  const InputFile file(path);
  if (file.size() == 0) throw_corrupt(path, "is empty");
  if (is_cifar_batch(path)) {
    return {path, Form::cifar, whole_units(file, kCifarRecord, "CIFAR-10's records"), 0, kCifarShape};
  }
  const std::vector<std::uint8_t> begin = file.beginning(16);
  if (picture_coding(begin) != PictureCoding::none) return {path, Form::coded, 1, 0, {}};
  if (is_npy(begin)) {
    const NpyPictures npy = read_npy(file.beginning(kNpyHeaderBytes), path, file.size(), config.image_size);
    return {path, Form::array, npy.count, npy.first_byte, {npy.height, npy.width, npy.channels}};
  }
  if (file_ending(path) == ".bin") return raw_array(file, config);
  throw_corrupt(path, "is no picture: needs PNG, JPEG, .npy, or a raw array in a .bin");
}

PictureShape find_shape(const std::vector<PictureFile>& files, const DataConfig& config) {
  const auto coded =
      std::find_if(files.begin(), files.end(), [](const auto& file) { return file.form == Form::coded; });
  PictureShape shape = files.front().shape;
  if (!config.image_size.empty()) {
    shape.height = config.image_size[0];
    shape.width = config.image_size[1];
  } else if (coded != files.end()) {
    const Image first = load_picture(*coded, 0);
    throw_invalid(fmt::format(
        "data.image_size: folders of pictures need the [height, width] to bring them to; the first, "
        "\"{}\", has [{}, {}]; a preset names one, such as image-small, which --preset keeps beside options of "
        "the model",
        coded->path, first.height, first.width));
  }
  const bool grey = std::all_of(files.begin(), files.end(), [](const auto& file) { return file.shape.channels == 1; });
  shape.channels = config.channels != 0 ? config.channels : grey ? 1 : 3;
  for (const PictureFile& file : files) {
    const bool same = file.shape.height == shape.height && file.shape.width == shape.width;
    if (config.image_size.empty() && !same) {
      throw_invalid(
          fmt::format("data.image_size: needs the [height, width] to bring pictures to where they differ: \"{}\" has "
                      "{}, \"{}\" has {}",
                      files.front().path, files.front().shape.words(), file.path, file.shape.words()));
    }
  }
  return shape;
}

// The official order: the five of training by number, then the test's. Others are an error, fewer records a word.
void settle_cifar(PictureFiles& pictures) {
  std::vector<PictureFile>& files = pictures.files;
  const auto is_cifar = [](const PictureFile& file) { return file.form == Form::cifar; };
  const auto batch = std::find_if(files.begin(), files.end(), is_cifar);
  const auto other = std::find_if_not(files.begin(), files.end(), is_cifar);
  pictures.cifar = batch != files.end();
  if (!pictures.cifar) return;
  if (other != files.end()) {
    throw_invalid(
        fmt::format("data.paths: \"{}\" is CIFAR-10, whose parts are its own, \"{}\" is not; name one of them",
                    batch->path, other->path));
  }
  const auto name = [](const PictureFile& file) { return std::filesystem::path(file.path).filename().string(); };
  std::stable_sort(files.begin(), files.end(), [&](const auto& a, const auto& b) { return name(a) < name(b); });
  std::vector<std::string> unusual;
  for (const PictureFile& file : files) {
    if (file.count != kCifarRecords) unusual.push_back(fmt::format("{} has {}", name(file), with_commas(file.count)));
  }
  if (!unusual.empty()) {
    pictures.found.notes.push_back(
        fmt::format("CIFAR-10's files have {} records each: {}", with_commas(kCifarRecords), fmt::join(unusual, ", ")));
  }
}

Image cifar_picture(std::span<const std::uint8_t> record) {
  constexpr std::size_t kPixels = 32 * 32;
  Image image{32, 32, 3, {}};
  image.bytes.reserve(3 * kPixels);
  for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
    for (std::size_t plane = 0; plane < 3; ++plane) image.bytes.push_back(record[1 + plane * kPixels + pixel]);
  }
  return image;
}

}  // namespace

std::string PictureShape::words() const { return fmt::format("{} x {} x {}", height, width, channels); }

std::int64_t PictureFiles::count() const {
  return std::accumulate(files.begin(), files.end(), std::int64_t{0},
                         [](std::int64_t sum, const PictureFile& file) { return sum + file.count; });
}

bool is_cifar_batch(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  constexpr std::string_view kBatch = "data_batch_";
  return name == "test_batch.bin" ||
         (name.size() == kBatch.size() + 5 && name.starts_with(kBatch) && name.ends_with(".bin") &&
          name[kBatch.size()] >= '1' && name[kBatch.size()] <= '5');
}

PictureFiles find_pictures(const std::vector<std::string>& files, const DataConfig& config) {
  PictureFiles pictures;
  for (const std::string& path : files) {
    try {
      pictures.files.push_back(look_into(path, config));
    } catch (const Error& error) {
      if (are_wrong_files(error, {path}, "image") && config.unreadable != Unreadable::skip) throw_invalid(error.what());
      if (config.unreadable != Unreadable::skip || error.kind() != ErrorKind::corrupt_data) throw;
      pictures.found.left_out.push_back({path, error.what()});
    }
  }
  if (pictures.files.empty()) {
    throw Error(ErrorKind::corrupt_data,
                fmt::format("no picture could be read: {}", pictures.found.left_out[0].reason));
  }
  settle_cifar(pictures);
  pictures.shape = find_shape(pictures.files, config);
  return pictures;
}

Image load_picture(const PictureFile& file, std::int64_t index) {
  const InputFile input(file.path);
  if (file.form == Form::coded) {
    const std::vector<std::uint8_t> bytes = input.all();
    const bool png = picture_coding(bytes) == PictureCoding::png;
    return png ? decode_png(bytes, file.path) : decode_jpeg(bytes, file.path);
  }
  check_pixels(file.shape.width, file.shape.height, file.path);  // its sides are an Image's, which are ints
  const std::int64_t unit = file.form == Form::cifar ? kCifarRecord : file.shape.bytes();
  const std::int64_t begin = file.first_byte + index * unit;
  std::vector<std::uint8_t> own = input.read(begin, unit);
  if (file.form == Form::cifar) return cifar_picture(own);
  return {static_cast<int>(file.shape.width), static_cast<int>(file.shape.height),
          static_cast<int>(file.shape.channels), std::move(own)};
}

void check_fit(const PictureShape& shape, const ModelConfig& model, bool has_weights) {
  const std::string remedy = has_weights ? "the weights to begin with have learned pictures of their own size: leave "
                                           "data.image_size and data.channels out, or train without --init"
                                         : fmt::format("--set model.context={} --set 'model.positions=[{},{},{}]'",
                                                       shape.bytes(), shape.height, shape.width, shape.channels);
  if (model.context != shape.bytes()) {
    throw_invalid(fmt::format("model.context: pictures of {} are {} bytes, one window each, got {}; {}", shape.words(),
                              with_commas(shape.bytes()), with_commas(model.context), remedy));
  }
  const std::int64_t sides[] = {shape.height, shape.width, shape.channels};
  std::size_t side = 0;
  bool fits = true;
  for (const std::int64_t extent : model.positions) {  // each takes the next sides whose product it is
    std::int64_t product = 1;
    while (product < extent && side < 3) product *= sides[side++];
    fits = fits && product == extent;
  }
  const bool all = std::all_of(sides + side, sides + 3, [](std::int64_t rest) { return rest == 1; });
  if (!fits || !all) {
    throw_invalid(fmt::format("model.positions: pictures of {} need these extents, got [{}]; {}", shape.words(),
                              fmt::join(model.positions, ", "), remedy));
  }
}

}  // namespace longstride
