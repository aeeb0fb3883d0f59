// These tests turn tokens into sound, and sound into tokens.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <numeric>

#include "data/dataset.h"
#include "data/mu_law.h"
#include "io/file.h"
#include "io/scratch.h"
#include "io/wav.h"
#include "longstride/sound.h"

namespace longstride {
namespace {

using Bytes = std::vector<std::uint8_t>;

DataConfig data_at(std::int64_t rate, double gain = 0) {
  DataConfig data;
  data.kind = "sound";
  data.sample_rate = rate;
  data.gain = gain;
  return data;
}

Bytes every_code() {
  Bytes codes(256);
  std::iota(codes.begin(), codes.end(), std::uint8_t{0});
  return codes;
}

// True where this build reads sound; says so where it does not.
bool reads_sound(const std::string& path) {
  try {
    read_sound(path, data_at(12000), 1);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    return false;
  }
  return true;
}

TEST(SoundOut, IsTheMuLawValueOfEachTokenIn16Bits) {
  const Sound sound = token_sound(data_at(8000), every_code());
  EXPECT_EQ(sound.rate, 8000);
  ASSERT_EQ(sound.samples.size(), 256u);
  EXPECT_EQ(sound.samples[0], -32768);
  EXPECT_EQ(sound.samples[255], 32767);
  EXPECT_LE(std::abs(sound.samples[128]), 3);
  for (std::size_t code = 0; code < 256; ++code) {
    const double exact = 32768 * mu_law_value(static_cast<std::uint8_t>(code));
    EXPECT_LE(std::abs(sound.samples[code] - exact), code == 255 ? 1 : 0.5) << code;
    EXPECT_EQ(mu_law_code(sound.samples[code] / 32768.0), code);  // 16 bits hold every code
  }
}

TEST(SoundOut, ReadsBackToTheSameTokens) {
  const Scratch scratch;
  write_file_atomically(scratch / "a.wav", encode_wav(token_sound(data_at(12000), every_code())));
  if (!reads_sound(scratch / "a.wav")) GTEST_SKIP() << "this build reads no sound";
  EXPECT_EQ(read_sound(scratch / "a.wav", data_at(12000)), every_code());
  EXPECT_EQ(read_sound(scratch / "a.wav", data_at(12000), 3), (Bytes{0, 1, 2}));
  EXPECT_EQ(read_sound(scratch / "a.wav", data_at(12000), 1000), every_code());
}

TEST(SoundOut, IsReadAsTrainingReadsIt) {
  const Scratch scratch;
  Sound sound{16000, {}};
  for (int i = 0; i < 90'000; ++i) sound.samples.push_back(static_cast<std::int16_t>(9000 * std::sin(0.01 * i)));
  write_file_atomically(scratch / "a.wav", encode_wav(sound));
  if (!reads_sound(scratch / "a.wav")) GTEST_SKIP() << "this build reads no sound";
  DataConfig data = data_at(12000, 3);  // another rate, and louder
  const Bytes read = read_sound(scratch / "a.wav", data);
  data.paths = {scratch / "a.wav"};
  data.cache = scratch / "cache";
  const Dataset trained(data);
  Bytes codes(static_cast<std::size_t>(trained.size()));
  trained.read(0, codes);
  EXPECT_EQ(read, codes);
  EXPECT_EQ(read_sound(scratch / "a.wav", data, 100), Bytes(codes.begin(), codes.begin() + 100));
}

}  // namespace
}  // namespace longstride
