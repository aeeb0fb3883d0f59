// These tests read sound that libsndfile made, whole and cut.
#include "io/sound.h"

#include <fmt/format.h>
#include <rapidcheck.h>

#include <cmath>
#include <numbers>

#include "io/coded.h"
#include "io/resample.h"

namespace longstride {
namespace {

#ifdef LONGSTRIDE_HAS_SNDFILE

std::vector<double> read_all(const std::string& path, std::size_t block = 7) {
  SoundReader reader(path);
  std::vector<double> all, part(block);
  for (std::size_t count; (count = reader.read(part)) > 0;) {
    all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return all;
}

std::string refusal(const std::string& path) {
  return error_words(ErrorKind::corrupt_data, [&] { read_all(path); });
}

constexpr int kLarge = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;
const std::vector<double> kSamples = {0, 0.5, -0.5, 0.25, -1, 0.125, 0.75, -0.25, 0.375, -0.125, 0.0625, -0.75};

TEST(Sound, IsTheSameFromEveryFormatThatHoldsIt) {
  const Scratch scratch;
  int number = 0;
  for (const int format :
       {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_PCM_24,
        SF_FORMAT_WAV | SF_FORMAT_PCM_32, SF_FORMAT_WAV | SF_FORMAT_FLOAT, SF_FORMAT_WAVEX | SF_FORMAT_PCM_16,
        SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_24}) {
    const std::string path = scratch / fmt::format("{}", number++);
    put_sound(path, format, 12000, 1, kSamples);
    EXPECT_EQ(SoundReader(path).rate(), 12000);
    const std::vector<double> found = read_all(path);
    ASSERT_EQ(found.size(), kSamples.size());
    // Writers scale 1.0 to the largest code, 2^(bits - 1) - 1, readers divide by 2^(bits - 1).
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], kSamples[i], 0.5 / 64) << format;
  }
}

TEST(Sound, OfSixteenBitsIsDividedBy32768) {
  const Scratch scratch;
  const std::int16_t codes[] = {0, 1, -1, 32767, -32768, 12345};
  SF_INFO info{};
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  info.samplerate = 8000;
  info.channels = 1;
  SNDFILE* file = sf_open((scratch / "a").c_str(), SFM_WRITE, &info);
  sf_write_short(file, codes, 6);
  sf_close(file);
  const std::vector<double> found = read_all(scratch / "a");
  ASSERT_EQ(found.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(found[i], codes[i] / 32768.0);
}

TEST(Sound, IsTheMeanOfItsChannels) {
  const Scratch scratch;
  put_sound(scratch / "a", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 3, kSamples);
  const std::vector<double> found = read_all(scratch / "a", 3);
  ASSERT_EQ(found.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(found[i], (kSamples[3 * i] + kSamples[3 * i + 1] + kSamples[3 * i + 2]) / 3);
  }
}

TEST(Sound, OfManyChannelsIsReadInBlocksThatStaySmall) {
  const Scratch scratch;
  constexpr int kChannels = 700, kFrames = 500;  // more values than are read at a time
  std::vector<double> samples;
  for (int frame = 0; frame < kFrames; ++frame) samples.insert(samples.end(), kChannels, (frame % 128) / 128.0);
  put_sound(scratch / "a", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 12000, kChannels, samples);
  const std::vector<double> found = read_all(scratch / "a", 1 << 16);
  ASSERT_EQ(found.size(), static_cast<std::size_t>(kFrames));
  for (int frame = 0; frame < kFrames; ++frame)
    ASSERT_DOUBLE_EQ(found[static_cast<std::size_t>(frame)], (frame % 128) / 128.0);
  std::vector<double> part(1 << 16);
  EXPECT_LT(SoundReader(scratch / "a").read(part), 200u);
}

TEST(Sound, ThatIsCutIsRefusedWhereverTheCutIs) {
  const Scratch scratch;
  const std::vector<double> samples(5000, 0.25);
  for (const auto& [name, format] :
       {std::pair("wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16), std::pair("flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16),
        std::pair("rifx", SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG), std::pair("rf64", kLarge),
        std::pair("wavex", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24)}) {
    put_sound(scratch / name, format, 12000, 1, samples);
    EXPECT_EQ(read_all(scratch / name).size(), samples.size()) << name;
    const std::string whole = get(scratch / name);
    for (const std::size_t size :
         {whole.size() - 1, whole.size() / 2, std::size_t{50}, std::size_t{20}, std::size_t{3}}) {
      put(scratch / "cut", whole.substr(0, size));
      EXPECT_NE(refusal(scratch / "cut"), "") << name << " " << size;
    }
  }
  put_sound(scratch / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 12000, 1, samples);
  put(scratch / "b.wav", get(scratch / "a.wav").substr(0, 9044));
  EXPECT_EQ(refusal(scratch / "b.wav"),
            "\"" + (scratch / "b.wav") + "\" is cut: its header promises 10,000 bytes of samples, 9,000 are there");
}

TEST(Sound, OfABigEndianWavIsReadWholeAndRefusedCut) {
  const Scratch scratch;
  put_sound(scratch / "a", SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG, 12000, 1, kSamples);
  const std::string whole = get(scratch / "a");
  ASSERT_TRUE(whole.starts_with("RIFX"));
  EXPECT_EQ(read_all(scratch / "a").size(), kSamples.size());
  put(scratch / "a", whole.substr(0, whole.size() - 2));
  EXPECT_NE(refusal(scratch / "a").find(" is cut: its header promises 24 bytes of samples, 22 are there"),
            std::string::npos);
}

// The file with this length of samples in its header.
std::string with_length(std::string bytes, int format, std::uint64_t length) {
  const bool large = format == kLarge, big = (format & SF_FORMAT_ENDMASK) == SF_ENDIAN_BIG;
  const std::size_t at = large ? bytes.find("ds64") + 16 : bytes.find("data") + 4, size = large ? 8 : 4;
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<char>(length >> 8 * (big ? size - 1 - i : i));
    if (large) bytes[at + 8 + i] = '\0';  // how many samples: not known either
  }
  return bytes;
}

TEST(Sound, OfUnknownLengthIsReadToTheEnd) {
  const Scratch scratch;
  for (const int format :
       {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG, kLarge}) {
    put_sound(scratch / "whole", format, 12000, 3, kSamples);
    const std::vector<double> wanted = read_all(scratch / "whole");
    ASSERT_EQ(wanted.size(), 4u);
    // Of ffmpeg; sox, and sox where frames have 6 bytes; arecord; the most there can be, and less a header of 44 bytes;
    // and what was to be written at the end.
    for (const std::uint64_t mark :
         {0xffffffffu, 0x7ffff000u, 0x7fffeffcu, 0x80000000u, 0x7fffffffu, 0xffffffd3u, 0u}) {
      put(scratch / "a", with_length(get(scratch / "whole"), format, mark));
      EXPECT_EQ(read_all(scratch / "a"), wanted) << format << " " << mark;
    }
  }
  put_sound(scratch / "large", kLarge, 12000, 1, kSamples);
  put(scratch / "a", with_length(get(scratch / "large"), kLarge, ~std::uint64_t{0}));
  EXPECT_EQ(read_all(scratch / "a").size(), kSamples.size());
}

// Encoders that write into a pipe leave 0 for the number of samples (36 bits from the 22nd byte's lower half on).
TEST(Sound, OfFlacWithoutALengthIsReadToTheEndAndRefusedWhereItIsCut) {
  const Scratch scratch;
  std::vector<double> samples;
  for (int i = 0; i < 20'000; ++i) samples.push_back(0.5 * std::sin(0.01 * i * i));
  put_sound(scratch / "whole", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 12000, 1, samples);
  std::string streamed = get(scratch / "whole");
  streamed[21] = static_cast<char>(streamed[21] & 0xf0);
  streamed.replace(22, 4, 4, '\0');
  put(scratch / "a", streamed);
  EXPECT_EQ(read_all(scratch / "a", 4096), read_all(scratch / "whole", 4096));
  for (std::size_t size = streamed.size() - 1; size > 1000; size -= 1000) {
    put(scratch / "a", streamed.substr(0, size));
    EXPECT_NE(refusal(scratch / "a").find("is cut"), std::string::npos) << size;
  }
}

TEST(Sound, OfNoSamplesIsNotTakenForOneOfUnknownLength) {
  const Scratch scratch;
  put_sound(scratch / "a", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 12000, 1, {});
  put(scratch / "b", get(scratch / "a") + "LIST" + std::string("\4\0\0\0", 4) + "INFO");
  EXPECT_EQ(read_all(scratch / "a").size(), 0u);
  EXPECT_EQ(read_all(scratch / "b").size(), 0u);
}

TEST(Sound, OfManyChannelsIsReadInPieces) {
  const Scratch scratch;
  std::vector<double> samples;
  for (int i = 0; i < 256 * 700; ++i) samples.push_back((i / 256) / 1024.0);
  put_sound(scratch / "a", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 256, samples);
  const std::vector<double> found = read_all(scratch / "a", 650);  // a piece is 256 samples
  ASSERT_EQ(found.size(), 700u);
  for (std::size_t i = 0; i < 700; ++i) EXPECT_EQ(found[i], static_cast<double>(i) / 1024) << i;
}

TEST(Sound, OfAnotherKindIsRefusedByName) {
  const Scratch scratch;
  put(scratch / "empty", "");
  EXPECT_EQ(refusal(scratch / "empty"), "\"" + (scratch / "empty") + "\" is empty");
  put(scratch / "text", "no sound at all, only a few words");
  EXPECT_EQ(refusal(scratch / "text"), "\"" + (scratch / "text") + "\" is no WAV or FLAC file");
  put(scratch / "torso", "RIFF....WAVE and nothing more");
  EXPECT_EQ(refusal(scratch / "torso"),
            "\"" + (scratch / "torso") + "\" is a damaged WAV: no \"fmt \" chunk says what its samples are");
  put(scratch / "head", "fLaC and nothing more");
  EXPECT_EQ(refusal(scratch / "head"),
            "\"" + (scratch / "head") + "\" is a damaged FLAC file: its header cannot be read");
  put_sound(scratch / "a.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 12000, 1, kSamples);
  EXPECT_EQ(refusal(scratch / "a.aiff"), "\"" + (scratch / "a.aiff") + "\" is no WAV or FLAC file");
  for (const char* coding : {"\x50", "\x55"}) {
    put_sound(scratch / "mp3", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 12000, 1, kSamples);
    put(scratch / "mp3", get(scratch / "mp3").replace(20, 1, coding));
    EXPECT_EQ(refusal(scratch / "mp3"),
              "\"" + (scratch / "mp3") + "\" holds MPEG audio (MP3); needs samples: decode it first");
  }
  put_sound(scratch / "nan", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 12000, 1, {0, std::nan("")});
  EXPECT_EQ(refusal(scratch / "nan"), "\"" + (scratch / "nan") + "\" holds a value that is no number, sample 1");
  put_sound(scratch / "huge", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 12000, 1, {0, 1e30, -1e300});
  EXPECT_EQ(refusal(scratch / "huge"), "\"" + (scratch / "huge") + "\" holds a value that is no sound's, sample 2");
  error_words(ErrorKind::invalid_argument, [] { SoundReader("/nowhere/a.wav"); });
}

TEST(Sound, SurvivesDamage) {
  const Scratch scratch;
  std::vector<double> samples;
  for (int i = 0; i < 3000; ++i) samples.push_back(0.5 * std::sin(0.01 * i * i));
  for (const int format : {SF_FORMAT_WAV | SF_FORMAT_PCM_24, SF_FORMAT_FLAC | SF_FORMAT_PCM_16}) {
    put_sound(scratch / "whole", format, 12000, 2, samples);
    const std::string whole = get(scratch / "whole");
    const bool holds = rc::check([&]() {
      std::string bytes = whole;
      const int flips = *rc::gen::inRange(0, 6);
      for (int i = 0; i < flips; ++i) {
        // Half of them in the header, where they hurt.
        const std::size_t reach = *rc::gen::arbitrary<bool>() ? 64 : bytes.size();
        bytes[*rc::gen::inRange<std::size_t>(0, reach)] = *rc::gen::arbitrary<char>();
      }
      if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<std::size_t>(1, bytes.size() + 1));
      put(scratch / "a", bytes);
      try {
        RC_ASSERT(read_all(scratch / "a", 4096).size() <= 16 * bytes.size());
      } catch (const Error& error) {
        RC_ASSERT(error.kind() == ErrorKind::corrupt_data);
      }
    });
    EXPECT_TRUE(holds);
  }
}

#else

TEST(Sound, IsUnavailableWithoutLibsndfile) {
  EXPECT_EQ(error_words(ErrorKind::unavailable, [] { SoundReader("a.wav"); }),
            "\"a.wav\" is sound, and this build has no libsndfile; build again where it is installed");
}

#endif

#ifdef LONGSTRIDE_HAS_SOXR

std::vector<double> sine(double frequency, double rate, std::size_t count) {
  std::vector<double> samples(count);
  for (std::size_t i = 0; i < count; ++i) {
    samples[i] = 0.5 * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(i) / rate);
  }
  return samples;
}

std::vector<double> resample(const std::vector<double>& samples, double from, double to, std::size_t block) {
  Resampler resampler(from, to);
  std::vector<double> all;
  const auto out = [&](std::span<const double> made) { all.insert(all.end(), made.begin(), made.end()); };
  for (std::size_t at = 0; at < samples.size(); at += block) {
    resampler.feed(std::span(samples).subspan(at, std::min(block, samples.size() - at)), out);
  }
  resampler.finish(out);
  return all;
}

// A sine at another rate is the same sine: the error beside it, without the ends where it begins and stops.
double signal_to_noise_db(double frequency, double from, double to) {
  const auto count = static_cast<std::size_t>(from);  // a second
  const std::vector<double> found = resample(sine(frequency, from, count), from, to, 1000);
  const std::vector<double> wanted = sine(frequency, to, found.size());
  double signal = 0, noise = 0;
  for (std::size_t i = found.size() / 4; i < found.size() * 3 / 4; ++i) {
    signal += wanted[i] * wanted[i];
    noise += (found[i] - wanted[i]) * (found[i] - wanted[i]);
  }
  return 10 * std::log10(signal / noise);
}

TEST(Resampler, KeepsASineToMoreThan150Decibels) {
  for (const auto& [from, to] : {std::pair(44100, 12000), std::pair(48000, 12000), std::pair(8000, 12000),
                                 std::pair(11025, 12000), std::pair(96000, 16000)}) {
    for (const double share : {0.01, 0.3, 0.9}) {
      EXPECT_GT(signal_to_noise_db(share * std::min(from, to) / 2, from, to), 150) << from << " " << to << " " << share;
    }
  }
}

TEST(Resampler, StopsWhatTheLowerRateCannotHold) {
  const std::vector<double> found = resample(sine(7000, 44100, 44100), 44100, 12000, 4096);
  double most = 0;
  for (std::size_t i = found.size() / 4; i < found.size() * 3 / 4; ++i) most = std::max(most, std::abs(found[i]));
  EXPECT_LT(most, 1e-5);
}

TEST(Resampler, HandsOnMillionsInPieces) {
  Resampler resampler(1, 12000);
  std::size_t all = 0, most = 0;
  const auto out = [&](std::span<const double> made) {
    all += made.size();
    most = std::max(most, made.size());
  };
  resampler.feed(std::vector<double>(500, 0.5), out);
  resampler.finish(out);
  EXPECT_EQ(all, 6'000'000u);
  EXPECT_LE(most, std::size_t{1} << 16);
}

TEST(Resampler, MakesAsManySamplesAsTheTimeNeedsWhateverTheBlocks) {
  for (const std::size_t count : {1u, 10u, 999u, 44100u}) {
    const std::vector<double> samples = sine(440, 44100, count);
    const std::vector<double> whole = resample(samples, 44100, 12000, count);
    EXPECT_NEAR(static_cast<double>(whole.size()), static_cast<double>(count) * 12000 / 44100, 1) << count;
    EXPECT_EQ(resample(samples, 44100, 12000, 77), whole);
  }
  // What waits in the filter at the end is many times what one call gives.
  EXPECT_NEAR(static_cast<double>(resample(sine(40, 1000, 2000), 1000, 192000, 500).size()), 2000.0 * 192, 1);
  EXPECT_TRUE(resample({}, 44100, 12000, 1).empty());
}

#else

TEST(Resampler, IsUnavailableWithoutSoxr) {
  EXPECT_EQ(error_words(ErrorKind::unavailable, [] { Resampler(44100, 12000); }),
            "sound of 44100 Hz cannot become 12000 Hz: this build has no soxr; build again where it is installed, or "
            "--set data.sample_rate=44100");
}

#endif

}  // namespace
}  // namespace longstride
