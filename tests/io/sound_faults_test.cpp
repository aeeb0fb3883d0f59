// These tests read sound files with something behind them, and WAVs that their reader refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "io/coded.h"
#include "io/sound.h"
#include "longstride/error.h"

namespace longstride {
namespace {

#ifdef LONGSTRIDE_HAS_SNDFILE

std::vector<double> all_samples(const std::string& path) {
  SoundReader reader(path);
  std::vector<double> all, part(4096);
  for (std::size_t count; (count = reader.read(part)) > 0;)
    all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
  return all;
}

std::vector<double> tone_of_sweep() {
  std::vector<double> samples;
  for (int i = 0; i < 20'000; ++i) samples.push_back(0.5 * std::sin(0.01 * i * i));
  return samples;
}

// As encoders write it into a pipe: 0 for the number of samples.
std::string without_length(std::string flac) {
  flac[21] = static_cast<char>(flac[21] & 0xf0);
  return flac.replace(22, 4, 4, '\0');
}

TEST(SoundFaults, WhatStandsBehindAllSamplesOfAFlacIsNobodysSound) {
  const Scratch scratch;
  put_sound(scratch / "whole", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 12000, 1, tone_of_sweep());
  const std::string whole = get(scratch / "whole"), tag = "TAG" + std::string(125, 'a');
  const std::vector<double> wanted = all_samples(scratch / "whole");
  ASSERT_EQ(wanted.size(), 20'000u);
  for (const std::string& tail : {tag, std::string(4096, '\0'), whole}) {
    put(scratch / "a", whole + tail);
    EXPECT_EQ(all_samples(scratch / "a"), wanted) << tail.size();
    put(scratch / "a", whole.substr(0, whole.size() - 100) + tail);  // its last frame is damaged
    EXPECT_NE(error_words(ErrorKind::corrupt_data, [&] { all_samples(scratch / "a"); }), "") << tail.size();
  }
  put(scratch / "a", without_length(whole) + tag);
  EXPECT_EQ(all_samples(scratch / "a"), wanted);
  put(scratch / "a", without_length(whole).substr(0, whole.size() - 100) + tag);
  EXPECT_NE(error_words(ErrorKind::corrupt_data, [&] { all_samples(scratch / "a"); }).find("is cut"),
            std::string::npos);
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> 8 * i));
  return text;
}

std::string chunk_of(const std::string& name, const std::string& body) {
  return name + little_endian(body.size(), 4) + body;
}

std::string format_chunk(std::uint64_t coding, std::uint64_t bits, std::uint64_t rate = 8000,
                         std::uint64_t channels = 1) {
  return chunk_of("fmt ", little_endian(coding, 2) + little_endian(channels, 2) + little_endian(rate, 4) +
                              little_endian(rate * bits / 8, 4) + little_endian(bits / 8, 2) + little_endian(bits, 2));
}

std::string wav_of(const std::string& chunks) { return "RIFF" + little_endian(4 + chunks.size(), 4) + "WAVE" + chunks; }

TEST(SoundFaults, OfAWavAreSaidByItsChunks) {
  const Scratch scratch;
  const std::string data = chunk_of("data", std::string(800, '\1')), sound = format_chunk(1, 16);
  put(scratch / "a.wav", wav_of(sound + data));
  EXPECT_EQ(all_samples(scratch / "a.wav").size(), 400u);
  const std::string kinds = "; make it whole numbers of 8, 16, 24 or 32 bits, or floating point of 32 or 64";
  const std::string extensible =
      chunk_of("fmt ", format_chunk(0xfffe, 16).substr(8) + little_endian(22, 2) + little_endian(16, 2) +
                           little_endian(4, 4) + little_endian(0x55, 4) + std::string(12, '\1'));
  for (const auto& [chunks, words] : std::vector<std::pair<std::string, std::string>>{
           {format_chunk(1, 16, 0) + data, "is a damaged WAV: its header names a rate of 0 samples a second"},
           {format_chunk(1, 16, 0xffffffff) + data,
            "is a damaged WAV: its header names a rate of 4,294,967,295 samples a second"},
           {format_chunk(1, 16, 8000, 0) + data, "is a damaged WAV: its header names 0 channels, of 1 to 1024"},
           {sound + data + data, "is a damaged WAV: its samples lie in 2 \"data\" chunks"},
           {data + sound, "is a damaged WAV: its \"fmt \" chunk, which says what its samples are, stands behind them"},
           {sound + sound + data, "is a damaged WAV: it has 2 \"fmt \" chunks, which say what its samples are"},
           {sound, "is a damaged WAV: no \"data\" chunk holds its samples"},
           {chunk_of("fmt ", "12345678") + data, "is a damaged WAV: its \"fmt \" chunk has 8 bytes of at least 16"},
           {chunk_of("LIST", "INFOabc") + sound + data,
            "is a damaged WAV: its \"LIST\" chunk of 7 bytes lacks the byte that makes its length even"},
           {format_chunk(3, 16) + data,
            "is a WAV of a kind that is not read: format 3 (floating point) of 16 bits a sample"},
           {format_chunk(1, 64) + data,
            "is a WAV of a kind that is not read: format 1 (whole numbers) of 64 bits a sample"},
           {extensible + data, "is a WAV of a kind that is not read: format 85 of 16 bits a sample"}}) {
    put(scratch / "a.wav", wav_of(chunks));
    const bool of_kind = words.find("of a kind") != std::string::npos;
    EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { all_samples(scratch / "a.wav"); }),
              "\"" + (scratch / "a.wav") + "\" " + words + (of_kind ? kinds : ""));
  }
}

#endif

}  // namespace
}  // namespace longstride
