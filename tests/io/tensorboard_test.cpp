// The records are taken apart by hand here; a test in Python reads them with TensorBoard itself.
#include "io/tensorboard.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "io/crc32c.h"
#include "io/scratch.h"
#include "io/system.h"
#include "io/wav.h"

namespace longstride {
namespace {

std::uint64_t number(std::string_view bytes, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

std::vector<std::string> records(const std::string& path) {
  const std::string text = get(path);
  std::string_view rest = text;
  std::vector<std::string> all;
  while (rest.size() >= 16) {
    const std::uint64_t size = number(rest, 8);
    EXPECT_EQ(number(rest.substr(8), 4), masked_crc32c(as_bytes(rest.substr(0, 8))));
    const std::string_view data = rest.substr(12, size);
    EXPECT_EQ(number(rest.substr(12 + size), 4), masked_crc32c(as_bytes(data)));
    all.emplace_back(data);
    rest.remove_prefix(16 + size);
  }
  EXPECT_TRUE(rest.empty());
  return all;
}

// An event after its wall_time (key 0x09 and 8 bytes), as hexadecimal.
std::string after_time(const std::string& event) {
  EXPECT_EQ(event[0], 0x09);
  std::string hex;
  for (const char c : event.substr(9)) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

std::string hex_of(std::string_view text) {
  std::string hex;
  for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

TEST(Tensorboard, AFileBeginsWithItsVersion) {
  const Scratch scratch;
  const EventWriter writer(scratch / "tensorboard");
  EXPECT_TRUE(writer.path().starts_with(scratch / "tensorboard/events.out.tfevents."));
  const std::vector<std::string> events = records(writer.path());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(after_time(events[0]),
            "1000"
            "1a0d" +
                hex_of("brain.Event:2"));
}

TEST(Tensorboard, AScalarIsInTheFileWhenTheCallReturns) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  writer.scalar("loss", 300, 1.5);
  const std::vector<std::string> events = records(writer.path());
  ASSERT_EQ(events.size(), 2u);
  // step 300; summary of 13 bytes: value of 11 bytes: tag, simple_value 1.5f = 0x3fc00000.
  EXPECT_EQ(after_time(events[1]),
            "10ac02"
            "2a0d"
            "0a0b"
            "0a04" +
                hex_of("loss") + "150000c03f");
}

TEST(Tensorboard, ATextIsATensorOfTheTextPlugin) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  writer.text("t", 1, "ab");
  const std::string shape =
      "1204"
      "1202"
      "0801";
  const std::string tensor = "0807" + shape + "4202" + hex_of("ab");  // 12 bytes
  EXPECT_EQ(after_time(records(writer.path()).back()),
            "1001"
            "2a1d"
            "0a1b"
            "0a01" +
                hex_of("t") + "420c" + tensor +
                "4a08"
                "0a06"
                "0a04" +
                hex_of("text"));
}

TEST(Tensorboard, BytesThatAreNoTextBecomeMarks) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  const auto stored = [&](std::string_view words) {
    writer.text("t", 1, words);
    const std::string event = records(writer.path()).back();
    const std::size_t at = event.find("\x42", event.find("\x12\x04\x12\x02\x08\x01"));
    return event.substr(at + 2, static_cast<unsigned char>(event[at + 1]));
  };
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(stored("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(stored("a\xFF"
                   "b\x80"),
            "a" + mark + "b" + mark);
  EXPECT_EQ(stored("\xC3"), mark);                                   // cut
  EXPECT_EQ(stored("\xC0\xAF"), mark + mark);                        // longer than needed
  EXPECT_EQ(stored("\xE0\x80\xAF"), mark + mark + mark);             // longer than needed
  EXPECT_EQ(stored("\xED\xA0\x80"), mark + mark + mark);             // a surrogate
  EXPECT_EQ(stored("\xF4\x90\x80\x80"), mark + mark + mark + mark);  // above U+10FFFF
}

TEST(Tensorboard, AnImageCarriesItsExtentsAndAPng) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  writer.image("i", 2, Image{3, 2, 1, {1, 2, 3, 4, 5, 6}});
  const std::string event = records(writer.path()).back();
  EXPECT_NE(event.find(std::string("\x08\x02\x10\x03\x18\x01\x22")), std::string::npos);
  EXPECT_NE(event.find("\x89PNG\r\n"), std::string::npos);
}

TEST(Tensorboard, AudioCarriesItsRateItsLengthAndAWav) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  const Sound sound{12000, {1, 2, 3}};
  writer.audio("a", 2, sound);
  const std::vector<std::uint8_t> wav = encode_wav(sound);  // 50 bytes
  // Value of 77 bytes: tag, audio of 72: sample_rate 12000.0f = 0x463b8000, one channel, 3 frames, the WAV, its kind.
  EXPECT_EQ(after_time(records(writer.path()).back()),
            "1002"
            "2a4f"
            "0a4d"
            "0a01" +
                hex_of("a") +
                "3248"
                "0d00803b46"
                "1001"
                "1803"
                "2232" +
                hex_of({reinterpret_cast<const char*>(wav.data()), wav.size()}) + "2a09" + hex_of("audio/wav"));
}

TEST(Tensorboard, HyperparametersAreMetadataOfATensorWithoutElements) {
  const Scratch scratch;
  EventWriter writer(scratch.path());
  writer.hyperparameters({{"a", 2.0}, {"b", "x"}});
  const std::string event = after_time(records(writer.path()).back());
  EXPECT_TRUE(event.starts_with("1000")) << event;
  const std::string tensor =
      "4206"
      "0801"
      "12021200";
  const std::string values =
      "0a0e0a0161"
      "1209110000000000000040"
      "0a080a0162"
      "12031a0178"
      "29";  // and when it began
  const std::size_t at = event.find(hex_of("_hparams_/session_start_info") + tensor + "4a");
  EXPECT_NE(at, std::string::npos) << event;
  EXPECT_NE(event.find(hex_of("hparams") + "1225" + "1a23" + values, at), std::string::npos) << event;
}

TEST(Tensorboard, AResumedRunSaysWhereItStarts) {
  const Scratch scratch;
  const EventWriter first(scratch.path());
  const EventWriter second(scratch.path(), 5);
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(after_time(records(second.path()).at(1)),
            "1005"
            "3a02"
            "0801");
}

TEST(Tensorboard, ADirectoryThatCannotBeMadeIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { EventWriter writer("/nowhere/run/tensorboard"); }),
            "cannot make the directory \"/nowhere/run/tensorboard\": No such file or directory");
}

}  // namespace
}  // namespace longstride
