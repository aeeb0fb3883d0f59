// This reads the dictionary at the head of a .npy file and refuses what is no row of pictures.
#include "data/npy.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <regex>
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
  std::string text;  // a Python dictionary, e.g. {'descr': '|u1', 'fortran_order': False, 'shape': (5, 8, 8, 3), }
  std::int64_t end = 0;
};

Header read_header(std::span<const std::uint8_t> bytes, const std::string& name) {
  if (bytes.size() < 12) throw_corrupt(name, "is a cut .npy file: it ends within its header");
  const int version = bytes[6];
  if (version < 1 || version > 3)
    throw_corrupt(name, fmt::format("is a .npy file of version {}; needs 1 to 3", version));
  const std::size_t begin = version == 1 ? 10 : 12;
  std::size_t length = 0;
  for (std::size_t at = begin; at-- > 8;) length = length << 8 | bytes[at];
  if (length > bytes.size() - begin) throw_corrupt(name, "is a cut .npy file: it ends within its header");
  return {std::string(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                      bytes.begin() + static_cast<std::ptrdiff_t>(begin + length)),
          static_cast<std::int64_t>(begin + length)};
}

// What stands behind 'key': in the dictionary, as `value` (with one group) describes it; empty where nothing does.
std::string value_of(const std::string& header, const std::string& key, const std::string& value) {
  constexpr std::size_t kMostHeader = 1 << 16;  // a regular expression recurses: numpy's own are about 120 long
  std::smatch match;
  const std::regex entry("['\"]" + key + "['\"]\\s*:\\s*" + value);
  return header.size() <= kMostHeader && std::regex_search(header, match, entry) ? match[1].str() : "";
}

std::vector<std::int64_t> read_shape(const std::string& text) {
  std::vector<std::int64_t> shape;
  for (const char *at = text.data(), *end = at + text.size(); at != end;) {
    std::int64_t extent = 0;
    const std::from_chars_result read = std::from_chars(at, end, extent);
    if (read.ec != std::errc{}) {
      ++at;
      continue;
    }
    shape.push_back(extent);
    at = read.ptr;
  }
  return shape;
}

// The product of extents, or -1 where it leaves 62 bits.
std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t total = 1;
  for (const std::int64_t extent : shape) {
    if (extent > 0 && total > (std::numeric_limits<std::int64_t>::max() >> 1) / extent) return -1;
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
  throw_corrupt(name,
                fmt::format("has the shape ({}), which may be {} grey pictures or one with {} channels; save it "
                            "as ({}) or ({})",
                            fmt::join(shape, ", "), shape[0], shape[2], fmt::join(grey, ", "), fmt::join(one, ", ")));
}

}  // namespace

bool is_npy(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::equal(kMagic.begin(), kMagic.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

NpyPictures read_npy(std::span<const std::uint8_t> bytes, const std::string& name, std::span<const std::int64_t> size) {
  if (!is_npy(bytes)) throw_corrupt(name, "is no .npy file");
  const Header header = read_header(bytes, name);
  const std::string type = value_of(header.text, "descr", "['\"]([^'\"]*)['\"]");
  const std::string order = value_of(header.text, "fortran_order", "(True|False)");
  const std::string shape_text = value_of(header.text, "shape", "\\(([0-9L, ]*)\\)");
  if (type.empty() || order.empty() || shape_text.empty())
    throw_corrupt(name, "is a damaged .npy file: its header names no descr, fortran_order and shape");
  if (type != "|u1" && type != "u1" && type != "<u1" && type != ">u1") {
    throw_corrupt(name, fmt::format("holds numbers of type {}; pictures need uint8 (array.astype(numpy.uint8))", type));
  }
  if (order == "True") throw_corrupt(name, "is in Fortran order; save numpy.ascontiguousarray(array)");
  const std::vector<std::int64_t> shape = read_shape(shape_text), four = with_four_extents(shape, name, size);
  if (four.size() != 4 || (four[3] != 1 && four[3] != 3)) {
    throw_corrupt(name, fmt::format("has the shape ({}); needs (N, H, W) or (N, H, W, 3)", fmt::join(shape, ", ")));
  }
  const std::int64_t needed = product(shape), there = static_cast<std::int64_t>(bytes.size()) - header.end;
  if (needed < 1)
    throw_corrupt(name, fmt::format("has the shape ({}); needs at least one pixel", fmt::join(shape, ", ")));
  if (needed != there) {
    throw_corrupt(name,
                  fmt::format("is {}: its shape ({}) needs {} bytes, {} are there", there < needed ? "cut" : "damaged",
                              fmt::join(shape, ", "), with_commas(needed), with_commas(there)));
  }
  return {four[0], four[1], four[2], static_cast<int>(four[3]), header.end};
}

}  // namespace longstride
