// Files that would be learned as text without being any: known by their first bytes, or by their control characters.
#include "data/foreign.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "io/scratch.h"

namespace longstride {
namespace {

using namespace std::string_view_literals;

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

std::string what_is(std::string_view begin) {
  const Foreign* found = foreign_by_bytes(bytes_of(begin));
  return found == nullptr ? "" : found->what;
}

std::string bytes_without_order(std::size_t count) {
  std::mt19937 random(1);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
  return bytes;
}

TEST(Foreign, FormsAreKnownByTheirFirstBytes) {
  const std::string tar = std::string(257, 'n') + std::string("ustar\0"sv) + "00";
  const std::string frame = "\xff\xfb\x90\x64" + std::string(413, '\0');  // 128 kbit/s at 44.1 kHz: 417 bytes
  const std::string two_frames = frame + frame;
  const std::vector<std::pair<std::string_view, std::string>> cases = {
      {"\x1f\x8b\x08\0\0\0"sv, "packed"},
      {"\3757zXZ\0\0\x04"sv, "packed"},
      {"BZh91AY&SY"sv, "packed"},
      {"\x28\xb5\x2f\xfd\x04"sv, "packed"},
      {"PK\x03\x04\x14"sv, "packed"},
      {"7z\xbc\xaf\x27\x1c\0"sv, "packed"},
      {tar, "packed"},
      {"%PDF-1.7\n"sv, "a packed document"},
      {"\177ELF\x02"sv, "a program"},
      {"ID3\x04\0\0"sv, "sound in a form that is not read"},
      {two_frames, "sound in a form that is not read"},
      {"\0\0\0\x20"
       "ftypM4A "sv,
       "sound in a form that is not read"},
      {"RIFF\x24\0\0\0WEBPVP8 "sv, "a picture in a form that is not read"},
      {"BM\x36\x0c\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x20"sv, "a picture in a form that is not read"},
      {"RIFF\x24\0\0\0WAVEfmt "sv, "sound whose name does not say so"},
      {"fLaC\0\0\0\x22"sv, "sound whose name does not say so"},
      {"\x89PNG\r\n\x1a\n"sv, "a picture whose name does not say so"},
      {"\xff\xd8\xff\xe0"sv, "a picture whose name does not say so"},
      {"\x93NUMPY\x01\0"sv, "an array whose name does not say so"},
      {"\0\0\0\x20"
       "ftypisom"sv,
       "a film"}};
  for (const auto& [begin, what] : cases) EXPECT_EQ(what_is(begin), what) << begin;
}

TEST(Foreign, TextsAreNone) {
  const std::string frame_alone = "\xff\xfb\x90\x64" + std::string(500, 'a');  // no other follows
  for (const std::string_view text : {""sv, "B"sv, "BZh is how bzip2 begins"sv, "BM is how a bitmap begins"sv,
                                      "ID3 tags"sv, "RIFF and WAVE"sv, "GIF8 bits"sv, "ustar"sv,
                                      "Gr\xc3\xbc\xc3\x9f"
                                      "e\n"sv,
                                      "\xef\xbb\xbfwith a mark"sv, "\xff\xfeU\0T\0F\0"sv,
                                      "\xff\xfa"
                                      "a"sv,
                                      std::string_view(frame_alone)}) {
    EXPECT_EQ(what_is(text), "") << text;
  }
  EXPECT_EQ(what_is(std::string(300, 'u') + "ustar"), "");
}

TEST(Foreign, ControlCharactersTellThatAFileIsNoText) {
  EXPECT_FALSE(is_no_text({}));
  EXPECT_FALSE(is_no_text(bytes_of("tabs\t and\r\n lines\n \x1b[1m\f")));
  EXPECT_FALSE(
      is_no_text(bytes_of("Gr\xc3\xbc\xc3\x9f"
                          "e aus K\xf6ln")));
  EXPECT_FALSE(is_no_text(bytes_of(std::string(49, 'a') + '\1')));  // one in 50
  EXPECT_TRUE(is_no_text(bytes_of(std::string(48, 'a') + '\1')));
  EXPECT_TRUE(is_no_text(bytes_of("U\0T\0F\0"sv)));
  const std::string bright = std::string(60, '\xd0') + std::string(60, 'a');  // letters of KOI8-R, or of a photograph
  EXPECT_FALSE(is_no_text(bytes_of(bright)));
  EXPECT_TRUE(is_no_text(bytes_of(bright + '\1')));
  EXPECT_FALSE(is_no_text(bytes_of(std::string(60, 'a') + "\xd0\1" + std::string(60, 'a'))));
  EXPECT_TRUE(is_no_text(bytes_of(bytes_without_order(4096))));
}

class ForeignData : public testing::Test {
 protected:
  // Opens it as data whose kind nobody said; what was noted.
  std::string noted(const std::vector<std::string>& paths, const std::string& kind = "") const {
    DataConfig config;
    config.paths = paths;
    config.kind = kind;
    std::string all;
    DatasetOptions options;
    options.noted = [&](const std::string& sentence) { all += sentence; };
    EXPECT_EQ(Dataset(config, options).kind(), "text");
    return all;
  }

  Scratch scratch_;
};

TEST_F(ForeignData, ThatIsPackedIsRefusedWhateverItsName) {
  put(scratch_ / "backup", "\x1f\x8b\x08");
  put(scratch_ / "plain", "a text\n");
  const std::vector<std::string> both = {scratch_ / "plain", scratch_ / "backup"};
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { noted(both); }),
            "data.paths: \"" + (scratch_ / "backup") +
                "\" is packed, as its first bytes say; unpack it, or --set data.kind=text to take all bytes as they "
                "lie");
  EXPECT_EQ(noted(both, "text"), "");
  put(scratch_ / "photo.bin", "\x89PNG\r\n\x1a\n");
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { noted({scratch_ / "photo.bin"}); })
                .find("is a picture whose name does not say so, as its first bytes say; let its name end in .png"),
            std::string::npos);
}

TEST_F(ForeignData, ThatIsNoTextIsSaid) {
  put(scratch_ / "raw.bin", bytes_without_order(9000));
  put(scratch_ / "more.bin", bytes_without_order(10));
  std::string photograph = bytes_without_order(400'000);  // few control characters, and none in half of it
  for (std::size_t at = 0; at < photograph.size(); ++at)
    if (at < 200'000 || at % 100 != 0) photograph[at] = static_cast<char>(photograph[at] | '\xc0');
  put(scratch_ / "photograph.bin", photograph);
  EXPECT_EQ(noted({scratch_ / "photograph.bin"}).find("\"" + (scratch_ / "photograph.bin") + "\" is no text"), 0u);
  put(scratch_ / "late", std::string(6000, 'a') + bytes_without_order(6000));  // after a head that is text
  put(scratch_ / "plain", "a text\n");
  EXPECT_EQ(noted({scratch_ / "plain"}), "");
  const std::string words = noted({scratch_ / "plain", scratch_ / "raw.bin", scratch_ / "late"});
  EXPECT_EQ(words.find("\"" + (scratch_ / "raw.bin") + "\" and 1 more file are no text by their bytes, which are"), 0u)
      << words;
  EXPECT_NE(words.find("data.image_size=[HEIGHT,WIDTH]"), std::string::npos) << words;
  EXPECT_EQ(noted({scratch_ / "raw.bin"}, "text"), "");
}

}  // namespace
}  // namespace longstride
