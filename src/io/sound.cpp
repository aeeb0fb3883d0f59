// This reads WAV and FLAC by libsndfile.
#include "io/sound.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "io/file.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {

struct SoundReader::File {
  std::string path;
  SNDFILE* sound = nullptr;
  SF_INFO info{};
  std::int64_t frames_read = 0;
  std::vector<double> block;  // (frames, channels)
  ~File() {
    if (sound != nullptr) sf_close(sound);
  }
  bool length_known() const { return info.frames > 0 && info.frames < SF_COUNT_MAX; }
};

namespace {

// Of a WAV's chunks, before libsndfile sees them: it takes a cut WAV for a shorter one, and gives MPEG audio in a WAV
// to a decoder that prints. 0xffffffff stands for a length that its writer did not know, or that is elsewhere (RF64).
void check_wav(std::span<const std::uint8_t> bytes, const std::string& path) {
  const auto tag_at = [&](std::size_t at) { return std::string(bytes.begin() + at, bytes.begin() + at + 4); };
  if (bytes.size() < 12 || tag_at(8) != "WAVE") return;
  const bool big_endian = tag_at(0) == "RIFX";
  const auto number_at = [&](std::size_t at, int count) {
    std::uint32_t number = 0;
    for (int i = 0; i < count; ++i) number |= std::uint32_t{bytes[at + i]} << 8 * (big_endian ? count - 1 - i : i);
    return number;
  };
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    const std::string tag = tag_at(at);
    const std::uint64_t needed = number_at(at + 4, 4), there = bytes.size() - at - 8;
    if (tag == "data") {
      if (needed == 0xffffffff || needed <= there) return;
      throw_corrupt(path, fmt::format("is cut: its header promises {} bytes of samples, {} are there",
                                      with_commas(needed), with_commas(there)));
    }
    if (needed > there) return;  // another chunk reaches beyond the end: libsndfile finds no samples and says so
    if (tag == "fmt " && needed >= 2) {
      const std::uint32_t coding = number_at(at + 8, 2);
      if (coding == 0x50 || coding == 0x55)
        throw_corrupt(path, "holds MPEG audio (MP3); needs samples: decode it first");
    }
    at += 8 + needed + needed % 2;
  }
}

// By the first bytes, so that libsndfile's parsers of twenty other kinds never see the file. An ID3 tag, as some
// programs put it before FLAC, has its length in bytes 6 to 9, 7 bits each.
bool begins_as_wav_or_flac(std::span<const std::uint8_t> bytes) {
  const auto has = [&](std::size_t at, std::string_view mark) {
    return at + mark.size() <= bytes.size() && std::equal(mark.begin(), mark.end(), bytes.begin() + at);
  };
  std::size_t begin = 0;
  if (has(0, "ID3") && bytes.size() >= 10) {
    for (std::size_t at = 6; at < 10; ++at) begin = begin << 7 | (bytes[at] & 0x7f);
    begin += 10;
  }
  return has(begin, "fLaC") || ((has(0, "RIFF") || has(0, "RIFX") || has(0, "RF64")) && has(8, "WAVE"));
}

constexpr double kLoudest = 0x1p100;          // full scale is 1; what resampling adds up stays finite
constexpr std::size_t kMostValues = 1 << 17;  // of all channels, read at a time: a header can promise 1,024 of them

}  // namespace

SoundReader::SoundReader(const std::string& path) : file_(std::make_unique<File>()) {
  file_->path = path;
  {
    const MappedFile whole(path);
    if (whole.size() == 0) throw_corrupt(path, "is empty");
    if (!begins_as_wav_or_flac(whole.bytes())) throw_corrupt(path, "is no WAV or FLAC file");
    check_wav(whole.bytes(), path);
  }
  file_->sound = sf_open(path.c_str(), SFM_READ, &file_->info);
  if (file_->sound == nullptr) throw_corrupt(path, fmt::format("is no WAV or FLAC file: {}", sf_strerror(nullptr)));
  if (file_->info.samplerate < 1 || file_->info.channels < 1) throw_corrupt(path, "has no sample rate or no channels");
}

SoundReader::~SoundReader() = default;

int SoundReader::rate() const { return file_->info.samplerate; }

std::size_t SoundReader::read(std::span<double> mono) {
  const auto channels = static_cast<std::size_t>(file_->info.channels);
  mono = mono.first(std::min(mono.size(), std::max<std::size_t>(1, kMostValues / channels)));
  file_->block.resize(mono.size() * channels);
  const sf_count_t got = sf_readf_double(file_->sound, file_->block.data(), static_cast<sf_count_t>(mono.size()));
  if (sf_error(file_->sound) != SF_ERR_NO_ERROR) {
    throw_corrupt(file_->path, fmt::format("is damaged after {} samples: {}", with_commas(file_->frames_read),
                                           sf_strerror(file_->sound)));
  }
  const auto frames = static_cast<std::size_t>(std::max<sf_count_t>(got, 0));
  for (std::size_t i = 0; i < frames; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < channels; ++c) sum += file_->block[i * channels + c];
    mono[i] = sum / static_cast<double>(channels);
    if (!(std::abs(mono[i]) <= kLoudest)) {
      throw_corrupt(file_->path,
                    fmt::format("holds a value that is no {}, sample {}", std::isfinite(mono[i]) ? "sound's" : "number",
                                with_commas(file_->frames_read + static_cast<std::int64_t>(i))));
    }
  }
  file_->frames_read += static_cast<std::int64_t>(frames);
  if (frames < mono.size() && file_->length_known() && file_->frames_read < file_->info.frames) {
    throw_corrupt(file_->path, fmt::format("is cut: its header promises {} samples, {} are there",
                                           with_commas(file_->info.frames), with_commas(file_->frames_read)));
  }
  return frames;
}

}  // namespace longstride
