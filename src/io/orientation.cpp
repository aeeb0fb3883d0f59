// This finds the orientation among Exif's first entries and moves the pixels of a picture by it.
#include "io/orientation.h"

#include <algorithm>
#include <utility>

namespace longstride {
namespace {

// Whole numbers of a TIFF file in its order of bytes; 0 beyond its end.
class Tiff {
 public:
  explicit Tiff(std::span<const std::uint8_t> bytes) : bytes_(bytes), little_(number_at(0) == 'I') {}

  std::uint32_t read(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes_[at + (little_ ? size - 1 - i : i)];
    return value;
  }

 private:
  unsigned number_at(std::size_t at) const { return at < bytes_.size() ? bytes_[at] : 0; }

  std::span<const std::uint8_t> bytes_;
  bool little_;
};

// Bytes of a type of TIFF whose values are whole numbers, those with a sign included; 0: of another.
std::size_t size_of(std::uint32_t type) {
  constexpr std::uint32_t kShort = 3, kLong = 4, kSignedByte = 6, kSignedShort = 8, kSignedLong = 9, kOffset = 13;
  if (type == kSignedByte) return 1;
  if (type == kShort || type == kSignedShort) return 2;
  return type == kLong || type == kSignedLong || type == kOffset ? 4 : 0;
}

}  // namespace

// A directory: the number of its entries (2 bytes), and of each tag (2), type (2), count (4) and value (4, at their
// front where it is shorter). An orientation should be a SHORT; some programs write another whole number, which
// counts where it lies in its entry.
int exif_orientation(std::span<const std::uint8_t> exif) {
  constexpr std::uint32_t kOrientation = 274;
  constexpr std::size_t kEntry = 12;
  const Tiff tiff(exif);
  const std::size_t directory = tiff.read(4, 4);
  const std::uint32_t entries = tiff.read(directory, 2);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + kEntry * i;
    if (entry >= exif.size()) break;
    if (tiff.read(entry, 2) != kOrientation) continue;
    const std::size_t size = size_of(tiff.read(entry + 2, 2));
    const std::uint32_t count = tiff.read(entry + 4, 4);
    if (size == 0 || count == 0 || count > 4 / size) continue;
    const std::uint32_t value = tiff.read(entry + 8, size);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

// From 5 on rows and columns change places first; then rows (3, 4, 6, 7) or columns (2, 3, 7, 8) of the picture as it
// lies are read backwards.
Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool turned = orientation >= 5;
  const bool rows_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool columns_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const auto width = static_cast<std::size_t>(image.width), height = static_cast<std::size_t>(image.height),
             channels = static_cast<std::size_t>(image.channels);
  Image out = {turned ? image.height : image.width, turned ? image.width : image.height, image.channels, {}};
  out.bytes.resize(image.bytes.size());
  auto to = out.bytes.begin();
  for (std::size_t y = 0; y < static_cast<std::size_t>(out.height); ++y) {
    for (std::size_t x = 0; x < static_cast<std::size_t>(out.width); ++x) {
      std::size_t row = turned ? x : y, column = turned ? y : x;
      if (rows_back) row = height - 1 - row;
      if (columns_back) column = width - 1 - column;
      to = std::copy_n(image.bytes.data() + (row * width + column) * channels, channels, to);
    }
  }
  return out;
}

}  // namespace longstride
