// These tests read the headers of .npy files, and what is said of arrays that are no pictures.
#include "data/npy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "data/npy_file.h"
#include "error_words.h"

namespace longstride {
namespace {

std::span<const std::uint8_t> bytes_of(const std::string& file) {
  return {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
}

// Of an array of this type and shape, as Python writes both.
std::string words(const std::string& type, const std::string& shape) {
  const std::string file = npy(1, "{'descr': " + type + ", 'fortran_order': False, 'shape': " + shape + ", }", "x");
  return error_words(ErrorKind::corrupt_data,
                     [&] { read_npy(bytes_of(file), "a", static_cast<std::int64_t>(file.size()), {}); });
}

TEST(Npy, OfOtherNumbersIsRefusedWithWhatMakesLevelsOfThem) {
  const auto remedy = [](const std::string& type) {
    const std::string sentence = words("'" + type + "'", "(2, 4, 4)");
    const std::string lead = "\"a\" holds whole numbers, type " + type + "; pictures need uint8: ";
    EXPECT_EQ(sentence.find(lead), 0u) << sentence;
    return sentence.substr(std::min(lead.size(), sentence.size()));
  };
  const std::string bytes = "array.astype(numpy.uint8) where they go from 0 to 255, or ";
  for (const char* type : {">i8", "<u4", "<i2", "<u8"})
    EXPECT_EQ(remedy(type), bytes +
                                "(255 * ((array - float(low)) / (high - low))).round().astype(numpy.uint8) where "
                                "they go from low to high");
  EXPECT_EQ(remedy(">u2"), bytes + "(array / 257).round().astype(numpy.uint8) where they go to 65535");
  EXPECT_EQ(remedy("|i1"),
            "array.astype(numpy.uint8) where none is below 0, or (array.astype(int) + 128).astype(numpy.uint8) where "
            "they go from -128 to 127");
  EXPECT_EQ(words("[('a', '|u1')]", "(2, 4, 4)"),
            "\"a\" holds records; pictures need uint8: an array of levels from 0 to 255");
}

TEST(Npy, OfOtherShapesIsRefusedWithTheShapeAsNumpyWritesIt) {
  for (const char* shape : {"()", "(20,)", "(8, 8)", "(1, 2, 4, 4, 3)"})
    EXPECT_EQ(words("'|u1'", shape), fmt::format("\"a\" has the shape {}; needs (N, H, W) or (N, H, W, 3)", shape));
}

// Three extents may be grey pictures or one of colours: the size that is wanted decides, and what it leaves open is
// refused.
TEST(Npy, OfThreeExtentsIsWhatTheSizeSays) {
  std::string shape = "{'descr': '|u1', 'fortran_order': False, 'shape': (";
  const auto found = [&](const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& size) {
    const std::string words = fmt::format("{}, {}, {}", extents[0], extents[1], extents[2]);
    const std::string bytes =
        npy(1, shape + words + ")}", std::string(static_cast<std::size_t>(extents[0] * extents[1] * extents[2]), 'x'));
    try {
      const NpyPictures npy = read_npy(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()),
                                       "a", static_cast<std::int64_t>(bytes.size()), size);
      return fmt::format("{} of {} x {} x {}", npy.count, npy.height, npy.width, npy.channels);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt_data);
      return std::string(error.what());
    }
  };
  const std::string open_question =
      "\"a\" has the shape (8, 8, 3), which may be 8 grey pictures or one with 3 channels; "
      "save it as (8, 8, 3, 1) or (1, 8, 8, 3)";
  EXPECT_EQ(found({8, 8, 3}, {8, 8}), "1 of 8 x 8 x 3");
  EXPECT_EQ(found({8, 8, 1}, {8, 8}), "1 of 8 x 8 x 1");
  EXPECT_EQ(found({8, 8, 3}, {8, 3}), "8 of 8 x 3 x 1");
  EXPECT_EQ(found({8, 8, 3}, {}), open_question);
  EXPECT_EQ(found({8, 8, 3}, {16, 16}), open_question);
  EXPECT_NE(found({3, 3, 3}, {3, 3}).find("may be 3 grey pictures or one with 3 channels"), std::string::npos);
  EXPECT_EQ(found({8, 8, 4}, {8, 8}), "\"a\" has the shape (8, 8, 4); needs (N, H, W) or (N, H, W, 3)");
  EXPECT_EQ(found({8, 8, 7}, {8, 8}), "\"a\" has the shape (8, 8, 7); needs (N, H, W) or (N, H, W, 3)");
  EXPECT_EQ(found({8, 8, 8}, {8, 8}), "8 of 8 x 8 x 1");
  EXPECT_EQ(found({5, 9, 8}, {4, 4}), "5 of 9 x 8 x 1");
  EXPECT_EQ(found({5, 9, 8}, {}), "5 of 9 x 8 x 1");
}

}  // namespace
}  // namespace longstride
