// These tests turn tokens into pictures, and pictures into tokens.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/dataset.h"
#include "io/scratch.h"
#include "longstride/image.h"

namespace longstride {
namespace {

DataConfig data_of(std::int64_t height, std::int64_t width, std::int64_t channels) {
  DataConfig data;
  data.kind = "image";
  data.image_size = {height, width};
  data.channels = channels;
  return data;
}

Image noise(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int i = 0; i < width * height * channels; ++i) image.bytes.push_back(static_cast<std::uint8_t>(i * i % 251));
  return image;
}

TEST(Picture, IsItsTokensAndBlackWhereTheyAreMissing) {
  std::vector<std::uint8_t> tokens(2 * 3 * 3);
  std::iota(tokens.begin(), tokens.end(), std::uint8_t{1});
  const Image whole = token_picture(data_of(2, 3, 3), tokens);
  EXPECT_EQ(whole.height, 2);
  EXPECT_EQ(whole.width, 3);
  EXPECT_EQ(whole.channels, 3);
  EXPECT_EQ(whole.bytes, tokens);
  const Image part = token_picture(data_of(2, 3, 3), std::span(tokens).first(7));
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + 7, part.bytes.begin()));
  EXPECT_EQ(std::count(part.bytes.begin() + 7, part.bytes.end(), 0), 11);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { token_picture(data_of(2, 3, 1), tokens); }),
            "a picture of 2 x 3 x 1 is 6 tokens, got 18");
  EXPECT_EQ(
      error_words(ErrorKind::invalid_argument, [&] { token_picture(data_of(2, 3, 1), std::span(tokens).first(7)); }),
      "a picture of 2 x 3 x 1 is 6 tokens, got 7");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { token_picture({}, tokens); }),
            "data.image_size: the configuration does not say which pictures the model makes; needs image_size and "
            "channels");
}

// To the byte, so that a completed picture keeps what was given.
TEST(Picture, IsReadAsTrainingReadsIt) {
  const Scratch scratch;
  const Image photograph = noise(50, 37, 3), grey = noise(9, 30, 1);
  write_png(photograph, scratch / "a.png");
  write_png(grey, scratch / "b.png");
  for (const std::int64_t channels : {1, 3}) {
    for (const char* name : {"a.png", "b.png"}) {
      DataConfig data = data_of(8, 12, channels);
      const Image read = read_picture(scratch / name, data);
      data.paths = {scratch / name};
      data.cache = scratch / "cache";
      const Dataset trained(data);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(trained.size()));
      trained.read(0, bytes);
      EXPECT_EQ(read.bytes, bytes) << name << " " << channels;
      EXPECT_EQ(read.height, 8);
      EXPECT_EQ(read.width, 12);
      EXPECT_EQ(read.channels, channels);
    }
  }
}

TEST(Picture, OfAnotherKindIsRefusedByNameEvenWhereTrainingSkips) {
  const Scratch scratch;
  put(scratch / "a.txt", "no picture");
  DataConfig data = data_of(8, 8, 3);
  data.unreadable = Unreadable::skip;
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { read_picture(scratch / "a.txt", data); }),
            fmt::format("\"{}\" is no picture: needs PNG, JPEG, .npy, or a raw array in a .bin", scratch / "a.txt"));
}

TEST(Picture, GridsHoldEachPictureToTheByteWithWhiteBetween) {
  std::vector<Image> pictures;
  for (int i = 0; i < 5; ++i) {
    pictures.push_back(noise(4, 3, 3));
    for (std::uint8_t& byte : pictures.back().bytes) byte = static_cast<std::uint8_t>(byte / 2 + i);
  }
  const Image grid = picture_grid(pictures, 3);
  ASSERT_EQ(grid.width, 3 * 4 + 2 * 2);
  ASSERT_EQ(grid.height, 2 * 3 + 2);
  std::int64_t white = 0, inside = 0;
  for (int y = 0; y < grid.height; ++y) {
    for (int x = 0; x < grid.width; ++x) {
      const int row = y / 5, column = x / 6, py = y % 5, px = x % 6, at = 3 * row + column;
      for (int c = 0; c < 3; ++c) {
        const std::uint8_t byte = grid.bytes[static_cast<std::size_t>((y * grid.width + x) * 3 + c)];
        if (py < 3 && px < 4 && at < 5) {
          EXPECT_EQ(byte,
                    pictures[static_cast<std::size_t>(at)].bytes[static_cast<std::size_t>((py * 4 + px) * 3 + c)]);
          ++inside;
        } else {
          white += byte == 255 ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(inside, 5 * 36);
  EXPECT_EQ(inside + white, static_cast<std::int64_t>(grid.bytes.size()));
  EXPECT_EQ(picture_grid({pictures[0]}, 8).bytes, pictures[0].bytes);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument,
                        [&] {
                          picture_grid({pictures[0], noise(4, 4, 3)}, 2);
                        }),
            "a grid needs pictures of one shape");
}

}  // namespace
}  // namespace longstride
