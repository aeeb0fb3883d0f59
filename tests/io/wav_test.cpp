// The bytes by hand, and what grows read back; a test in Python reads them with other programs' readers.
#include "io/wav.h"

#include "io/scratch.h"
#include "io/sound.h"

namespace longstride {
namespace {

std::string wav_text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(Wav, IsAHeaderOf44BytesAndTheSamples) {
  const std::string expected(
      "RIFF\x2a\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xe0\x2e\0\0\xc0\x5d\0\0\x02\0\x10\0data\x06\0\0\0"
      "\0\0\xff\x7f\0\x80",
      50);
  EXPECT_EQ(wav_text(encode_wav({12000, {0, 32767, -32768}})), expected);
  EXPECT_EQ(encode_wav({8000, {}}).size(), 44u);
}

TEST(Wav, IsWholeAtEveryMomentWhileItGrows) {
  const Scratch scratch;
  const std::string path = scratch / "a.wav";
  Sound so_far{11025, {}};
  WavWriter writer(path, so_far.rate);
  EXPECT_EQ(get(path), wav_text(encode_wav(so_far)));
  for (const std::vector<std::int16_t>& part :
       {std::vector<std::int16_t>{1, -2, 300}, {}, std::vector<std::int16_t>(1000, -7), {5}}) {
    writer.append(part);
    so_far.samples.insert(so_far.samples.end(), part.begin(), part.end());
    EXPECT_EQ(get(path), wav_text(encode_wav(so_far)));
  }
  writer.sync();
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a.wav"});
}

TEST(Wav, TakesThePlaceOfWhatWasThereAndLeavesItsReadersAlone) {
  const Scratch scratch;
  const std::string path = scratch / "a.wav";
  put(path, "an older recording");
  std::ifstream reader(path, std::ios::binary);
  WavWriter first(path, 8000);
  first.append(std::vector<std::int16_t>{1, 2});
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(reader), {}), "an older recording");
  WavWriter second = std::move(first);
  second.append(std::vector<std::int16_t>{3});
  EXPECT_EQ(get(path), wav_text(encode_wav({8000, {1, 2, 3}})));
}

TEST(Wav, SaysWhereItCannotBeWritten) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { WavWriter("/nowhere/a.wav", 8000); }),
            "cannot write \"/nowhere/a.wav\": No such file or directory");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { WavWriter writer("/dev/null", 12000); }),
            "cannot write \"/dev/null\": a WAV that grows needs a file, for its header says its length");
}

#ifdef LONGSTRIDE_HAS_SNDFILE
TEST(Wav, IsReadBackAsItWasWritten) {
  const Scratch scratch;
  WavWriter writer(scratch / "a.wav", 12000);
  writer.append(std::vector<std::int16_t>{0, 16384, -32768, 32767});
  SoundReader reader(scratch / "a.wav");
  EXPECT_EQ(reader.rate(), 12000);
  std::vector<double> samples(9);
  ASSERT_EQ(reader.read(samples), 4u);
  samples.resize(4);
  EXPECT_EQ(samples, (std::vector<double>{0, 0.5, -1, 32767.0 / 32768}));
}
#endif

}  // namespace
}  // namespace longstride
