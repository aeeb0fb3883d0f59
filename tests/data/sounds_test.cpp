// These tests hold sound as data against the formula of mu-law and the files that it was decoded from.
#include <fmt/format.h>

#include <cmath>

#include "data/dataset.h"
#include "data/mu_law.h"
#include "io/coded.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

TEST(MuLaw, IsTheFormulaForEverySampleOfSixteenBits) {
  for (int sample = -32768; sample < 32768; ++sample) {
    const double x = sample / 32768.0, sign = (x > 0) - (x < 0);
    const double code = 127.5 * (1 + sign * std::log(1 + 255 * std::abs(x)) / std::log(256.0));
    ASSERT_EQ(mu_law_code(x), static_cast<int>(std::floor(code + 0.5))) << sample;
  }
  EXPECT_EQ(mu_law_code(0), 128);
  EXPECT_EQ(mu_law_code(-1), 0);
  EXPECT_EQ(mu_law_code(1), 255);
  EXPECT_EQ(mu_law_code(-7), 0);
  EXPECT_EQ(mu_law_code(7), 255);
}

TEST(MuLaw, OfItsInverseIsTheCodeAgainAndRises) {
  for (int code = 0; code < 256; ++code) {
    const double x = mu_law_value(static_cast<std::uint8_t>(code));
    EXPECT_EQ(mu_law_code(x), code);
    EXPECT_GT(x, code > 0 ? mu_law_value(static_cast<std::uint8_t>(code - 1)) : -2);
  }
  EXPECT_DOUBLE_EQ(mu_law_value(255), 1);
  EXPECT_DOUBLE_EQ(mu_law_value(0), -1);
}

#ifdef LONGSTRIDE_HAS_SNDFILE

class Sounds : public testing::Test {
 protected:
  DataConfig config(const std::string& path) const {
    DataConfig made;
    made.paths = {path};
    made.cache = scratch / "cache";
    return made;
  }
  Dataset open(const DataConfig& data) {
    notes.clear();
    DatasetOptions options;
    options.noted = [this](const std::string& sentence) { notes.push_back(sentence); };
    return Dataset(data, options);
  }
  static Bytes all(const Dataset& data) {
    Bytes bytes(static_cast<std::size_t>(data.size()));
    data.read(0, bytes);
    return bytes;
  }
  void wav(const std::string& name, int rate, const std::vector<double>& samples) const {
    put_sound(scratch / name, SF_FORMAT_WAV | SF_FORMAT_FLOAT, rate, 1, samples);
  }

  Scratch scratch;
  std::vector<std::string> notes;
};

TEST_F(Sounds, AreCountedWithoutBeingDecodedWhereNobodyReadsThem) {
  fs::create_directory(scratch / "d");
  wav("d/a.wav", 12000, {0, 0.5, -0.5});
  wav("d/b.wav", 12000, {0, 0.25});
  DatasetOptions options;
  const auto size = [&](std::int64_t most) {
    options.undecoded_tokens = most;
    const Dataset data(config(scratch / "d"), options);
    EXPECT_FALSE(data.readable());
    return data.size();
  };
  EXPECT_EQ(size(100), 5);
  EXPECT_EQ(size(4), 4);
  EXPECT_EQ(size(2), 2);
  EXPECT_FALSE(fs::exists(scratch / "cache"));
  put(scratch / "d/c.wav", std::string("words"));  // beyond what is counted
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { size(2); }),
            "\"" + (scratch / "d/c.wav") + "\" is no WAV or FLAC file");
  fs::remove(scratch / "d/c.wav");
  wav("d/c.wav", 12000, {});
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { size(2); }),
            "\"" + (scratch / "d/c.wav") + "\" holds no samples");
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { size(9); }),
            "\"" + (scratch / "d/c.wav") + "\" holds no samples");
}

TEST_F(Sounds, OfAFolderAreJoinedAsCodes) {
  fs::create_directory(scratch / "d");
  wav("d/a.wav", 12000, {0, 0.5, -0.5});
  put_sound(scratch / "d/b.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 12000, 1, {0.25, 0});
  const Dataset data = open(config(scratch / "d"));
  EXPECT_EQ(data.kind(), "sound");
  EXPECT_EQ(data.unit(), 1);
  EXPECT_EQ(data.describe(), "2 files of sound, 0 min 00 s at 12,000 Hz, 5 bytes");
  EXPECT_EQ(all(data), (Bytes{128, mu_law_code(0.5), mu_law_code(-0.5), mu_law_code(0.25), 128}));
}

TEST_F(Sounds, AreAmplifiedByTheGainAndClippedWithAWord) {
  wav("a.wav", 12000, {0.1, 0.4, -0.9});
  DataConfig data = config(scratch / "a.wav");
  data.gain = 20 * std::log10(2.0);
  const float a = 0.1f, b = 0.4f;  // as the file holds them
  EXPECT_EQ(all(open(data)), (Bytes{mu_law_code(2.0 * a), mu_law_code(2.0 * b), 0}));
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[1], "1 of 3 samples lay beyond full scale and were clipped");
  open(data);
  EXPECT_EQ(notes, (std::vector<std::string>{"1 of 3 samples lay beyond full scale and were clipped"}));
}

TEST_F(Sounds, ThatCannotBeReadAreAnErrorOrLeftOutWithNothingOfThem) {
  fs::create_directory(scratch / "d");
  std::vector<double> long_one(200'000, 0.25);
  put_sound(scratch / "d/a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 12000, 1, long_one);
  const std::string whole = get(scratch / "d/a.flac");
  put(scratch / "d/a.flac", whole.substr(0, whole.size() * 3 / 4));  // some blocks are sound, then it ends
  wav("d/b.wav", 12000, {0.5});
  wav("d/c.wav", 12000, {});
  DataConfig data = config(scratch / "d");
  EXPECT_NE(error_words(ErrorKind::corrupt_data, [&] { open(data); }).find("a.flac"), std::string::npos);
  EXPECT_FALSE(fs::exists(scratch / "cache"));
  data.unreadable = Unreadable::skip;
  const Dataset some = open(data);
  EXPECT_EQ(all(some), (Bytes{mu_law_code(0.5)}));
  EXPECT_EQ(some.describe().find("1 file of sound"), 0u) << some.describe();
  EXPECT_NE(some.describe().find("2 files left out"), std::string::npos);
  EXPECT_NE(notes.back().find("c.wav\" holds no samples"), std::string::npos);
}

#ifdef LONGSTRIDE_HAS_SOXR

// A recording of which resampling leaves nothing is one that cannot be read.
TEST_F(Sounds, OfTooFewSamplesAreAnErrorOrLeftOut) {
  fs::create_directory(scratch / "d");
  wav("d/long.wav", 12000, std::vector<double>(50, 0.25));
  for (const int count : {1, 2, 3, 100})
    wav(fmt::format("d/short{}.wav", count), 192000, std::vector<double>(static_cast<std::size_t>(count), 0.25));
  DataConfig data = config(scratch / "d");
  EXPECT_NE(error_words(ErrorKind::corrupt_data, [&] { open(data); }).find("short1.wav\" holds no samples"),
            std::string::npos);
  data.unreadable = Unreadable::skip;
  const Dataset some = open(data);
  EXPECT_NE(some.describe().find(" left out"), std::string::npos) << some.describe();
  EXPECT_GE(some.size(), 50);
}

TEST_F(Sounds, AreResampledOnlyWhereTheirRateDiffers) {
  const std::vector<double> constant(44100, 0.25);
  wav("a.wav", 44100, constant);
  const Bytes codes = all(open(config(scratch / "a.wav")));
  ASSERT_NEAR(static_cast<double>(codes.size()), 12000, 1);
  for (std::size_t i = 1000; i < 11000; ++i) ASSERT_EQ(codes[i], mu_law_code(0.25)) << i;
  DataConfig own = config(scratch / "a.wav");
  own.sample_rate = 44100;
  EXPECT_EQ(all(open(own)), Bytes(44100, mu_law_code(0.25)));
}

TEST_F(Sounds, OfALowRateBecomeManyInBlocks) {
  wav("a.wav", 10, std::vector<double>(2000, 0.25));
  EXPECT_EQ(open(config(scratch / "a.wav")).size(), 2'400'000);
}

TEST_F(Sounds, OfARateThatNoRecordingHasAreRefused) {
  for (const int rate : {1'000'000'000, 200'000'000}) {
    wav("a.wav", rate, {0.25, 0.5});
    const std::string words = error_words(ErrorKind::corrupt_data, [&] { open(config(scratch / "a.wav")); });
    EXPECT_NE(words.find(" samples a second: too far from data.sample_rate=12000 to be resampled"), std::string::npos);
  }
  wav("a.wav", 1, {0.25});
  DataConfig high = config(scratch / "a.wav");
  high.sample_rate = 768'000;
  error_words(ErrorKind::corrupt_data, [&] { open(high); });
}

#endif
#else

TEST(Sounds, AreUnavailableWithoutLibsndfile) {
  const Scratch scratch;
  put(scratch / "a.wav", "RIFF");
  DataConfig data;
  data.paths = {scratch / "a.wav"};
  data.cache = scratch / "cache";
  error_words(ErrorKind::unavailable, [&] { Dataset open(data); });
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a.wav"});
}

#endif

}  // namespace
}  // namespace longstride
