// This reads the dictionary at the head of a .npy file and refuses what is no row of pictures.
#include "data/npy.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  std::string_view text;  // a Python dictionary, e.g. {'descr': '|u1', 'fortran_order': False, 'shape': (5, 8, 8, 3), }
  std::int64_t end = 0;
};

Header read_header(std::span<const std::uint8_t> bytes, const std::string& name, std::int64_t size) {
  if (bytes.size() < 12) throw_corrupt(name, "is a cut .npy file: it ends within its header");
  const int version = bytes[6];
  if (version < 1 || version > 3)
    throw_corrupt(name, fmt::format("is a .npy file of version {}; needs 1 to 3", version));
  const std::size_t begin = version == 1 ? 10 : 12;
  std::size_t length = 0;
  for (std::size_t at = begin; at-- > 8;) length = length << 8 | bytes[at];
  if (length > static_cast<std::size_t>(size) - begin)
    throw_corrupt(name, "is a cut .npy file: it ends within its header");
  return {{reinterpret_cast<const char*>(bytes.data()) + begin, std::min(length, bytes.size() - begin)},
          static_cast<std::int64_t>(begin + length)};
}

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// What stands behind 'key': in the dictionary; empty where nothing does.
std::string_view value_of(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    const std::size_t at = header.find(quoted);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = without_blanks(header.substr(at + quoted.size()));
    if (rest.starts_with(':')) return without_blanks(rest.substr(1));
  }
  return {};
}

// The text between the first character, one of `open`, and the next one of `close`; empty where there are no two such,
// or where it is longer than any that means something.
std::string_view between(std::string_view value, std::string_view open, std::string_view close) {
  if (value.empty() || open.find(value.front()) == std::string_view::npos) return {};
  constexpr std::size_t kMost = 1000;
  const std::size_t end = value.substr(0, kMost).find_first_of(close, 1);
  return end == std::string_view::npos ? std::string_view() : value.substr(1, end - 1);
}

// The whole numbers of a Python tuple, "(5, 8, 8L)", of which a whole number has none; nothing where it is anything
// else.
std::optional<std::vector<std::int64_t>> read_shape(std::string_view tuple) {
  std::string_view text = between(tuple, "(", ")");
  if (text.empty() && !tuple.starts_with("()")) return std::nullopt;
  std::vector<std::int64_t> shape;
  while (!(text = text.substr(std::min(text.find_first_not_of("L, "), text.size()))).empty()) {
    std::int64_t extent = -1;
    const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (read.ec != std::errc{} || extent < 0) return std::nullopt;
    shape.push_back(extent);
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  }
  return shape;
}

// As Python writes a tuple: "()", "(20,)", "(5, 8, 8)".
std::string tuple_words(const std::vector<std::int64_t>& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

struct NumberKind {
  const char *words, *remedy;
};

// By the letter and the number of bytes that numpy's types have behind their order of bytes.
NumberKind kind_of(std::string_view type) {
  const std::string_view name = type.substr(std::min(type.find_first_not_of("<>|="), type.size()));
  switch (name.empty() ? '\0' : name.front()) {
    case 'f':
      return {"fractions",
              "(255 * array).round().astype(numpy.uint8) where they go from 0 to 1, "
              "(127.5 * (array + 1)).round().astype(numpy.uint8) where they go from -1 to 1, or "
              "array.round().astype(numpy.uint8) where they go to 255"};
    case 'b':
      return {"truth values", "255 * array.astype(numpy.uint8)"};
    case 'u':
    case 'i':
      break;
    default:
      return {"no real numbers", "an array of levels from 0 to 255"};
  }
  if (name == "i1")
    return {"whole numbers",
            "array.astype(numpy.uint8) where none is below 0, or (array.astype(int) + 128).astype(numpy.uint8) where "
            "they go from -128 to 127"};
  if (name == "u2")
    return {"whole numbers",
            "array.astype(numpy.uint8) where they go from 0 to 255, or (array / 257).round().astype(numpy.uint8) "
            "where they go to 65535"};
  return {"whole numbers",
          "array.astype(numpy.uint8) where they go from 0 to 255, or "
          "(255 * ((array - float(low)) / (high - low))).round().astype(numpy.uint8) where they go from low to high"};
}

// The product of extents; none where it is more bytes than a file can have.
std::optional<std::int64_t> product(const std::vector<std::int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::int64_t total = 1;
  for (const std::int64_t extent : shape) {
    if (total > std::numeric_limits<std::int64_t>::max() / extent) return std::nullopt;
    total *= extent;
  }
  return total;
}

// (H, W, 1) or (H, W, 3) as (1, H, W, ...), (N, H, W) as (N, H, W, 1); other shapes as they are.
std::vector<std::int64_t> with_four_extents(const std::vector<std::int64_t>& shape, const std::string& name,
                                            std::span<const std::int64_t> size) {
  if (shape.size() != 3) return shape;
  const std::vector<std::int64_t> grey = {shape[0], shape[1], shape[2], 1}, one = {1, shape[0], shape[1], shape[2]};
  const auto wanted = [&](const auto& extents) {
    return size.size() == 2 && extents[1] == size[0] && extents[2] == size[1];
  };
  const bool colours = shape[2] == 1 || shape[2] == 3;
  if (wanted(grey) ? !wanted(one) || !colours : !wanted(one) && !colours) return grey;
  if (wanted(one) && !wanted(grey)) return one;
  throw_corrupt(name, fmt::format("has the shape {}, which may be {} grey pictures or one with {} channels; save it "
                                  "as {} or {}",
                                  tuple_words(shape), shape[0], shape[2], tuple_words(grey), tuple_words(one)));
}

}  // namespace

bool is_npy(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::equal(kMagic.begin(), kMagic.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

NpyPictures read_npy(std::span<const std::uint8_t> bytes, const std::string& name, std::int64_t file_bytes,
                     std::span<const std::int64_t> size) {
  if (!is_npy(bytes)) throw_corrupt(name, "is no .npy file");
  const Header header = read_header(bytes, name, file_bytes);
  const std::string_view type = between(value_of(header.text, "descr"), "'\"", "'\"");
  const std::string_view order = value_of(header.text, "fortran_order");
  const std::optional<std::vector<std::int64_t>> named = read_shape(value_of(header.text, "shape"));
  const bool records = value_of(header.text, "descr").starts_with('[');
  if ((type.empty() && !records) || !(order.starts_with("True") || order.starts_with("False")) || !named)
    throw_corrupt(name, "is a damaged .npy file: its header names no descr, fortran_order and shape");
  const std::vector<std::int64_t>& shape = *named;
  if (records) throw_corrupt(name, "holds records; pictures need uint8: an array of levels from 0 to 255");
  if (type != "|u1" && type != "u1" && type != "<u1" && type != ">u1") {
    throw_corrupt(name, fmt::format("holds {}, type {}; pictures need uint8: {}", kind_of(type).words, type,
                                    kind_of(type).remedy));
  }
  if (order.starts_with("True")) throw_corrupt(name, "is in Fortran order; save numpy.ascontiguousarray(array)");
  const std::vector<std::int64_t> four = with_four_extents(shape, name, size);
  if (four.size() != 4 || (four[3] != 1 && four[3] != 3)) {
    throw_corrupt(name, fmt::format("has the shape {}; needs (N, H, W) or (N, H, W, 3)", tuple_words(shape)));
  }
  const std::optional<std::int64_t> needed = product(shape);
  const std::int64_t there = file_bytes - header.end;
  if (needed == 0) throw_corrupt(name, fmt::format("has the shape {}; needs at least one pixel", tuple_words(shape)));
  if (needed != there) {
    throw_corrupt(name, fmt::format("is {}: its shape {} needs {} bytes, {} are there",
                                    !needed || there < *needed ? "cut" : "damaged", tuple_words(shape),
                                    needed ? with_commas(*needed) : "more than 2^63", with_commas(there)));
  }
  return {four[0], four[1], four[2], static_cast<int>(four[3]), header.end};
}

}  // namespace longstride
