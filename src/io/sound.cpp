// This reads WAV and FLAC by libsndfile.
#include "io/sound.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "io/file.h"
#include "io/flac_end.h"
#include "io/wav_chunks.h"
#include "io/wav_fault.h"
#include "io/wav_length.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::size_t kBlock = 1 << 16;  // numbers read at a time, of all channels
constexpr double kLoudest = 0x1p100;     // full scale is 1; what resampling adds up stays finite

// By the first bytes, so that libsndfile's parsers of twenty other kinds never see the file. An ID3 tag, as some
// programs put it before FLAC, has its length in bytes 6 to 9, 7 bits each.
bool begins_as_wav_or_flac(const InputFile& file) {
  const auto has = [&](std::int64_t at, std::string_view mark) {
    const auto length = static_cast<std::int64_t>(mark.size());
    if (file.size() - length < at) return false;
    const std::vector<std::uint8_t> bytes = file.read(at, length);
    return std::equal(mark.begin(), mark.end(), bytes.begin(),
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
  };
  std::int64_t begin = 0;
  if (has(0, "ID3") && file.size() >= 10) {
    for (const std::uint8_t byte : file.read(6, 4)) begin = begin << 7 | (byte & 0x7f);
    begin += 10;
  }
  return has(begin, "fLaC") || ((has(0, "RIFF") || has(0, "RIFX") || has(0, "RF64")) && has(8, "WAVE"));
}

// The file as libsndfile reads it: with the true length of a WAV where its header has a mark.
struct SoundBytes {
  explicit SoundBytes(const std::string& path) : file(path) {
    if (file.size() == 0) throw_corrupt(path, "is empty");
    if (!begins_as_wav_or_flac(file)) throw_corrupt(path, "is no WAV or FLAC file");
    length = find_wav_length(file);
    end = flac_end(file);
  }

  // 0 where the file cannot be read, and the reason in `failed`: libsndfile is C, no exception may pass through it.
  sf_count_t read(std::uint8_t* out, sf_count_t count) {
    count = std::clamp<sf_count_t>(end - at, 0, count);
    try {
      file.read(at, {out, static_cast<std::size_t>(count)});
    } catch (const Error&) {
      failed = std::current_exception();
      return 0;
    }
    for (std::size_t i = 0; length && i < length->size; ++i) {
      const sf_count_t place = static_cast<sf_count_t>(length->at + i) - at;
      if (place >= 0 && place < count) out[place] = length->bytes[i];
    }
    at += count;
    return count;
  }

  sf_count_t seek(sf_count_t offset, int whence) {
    at = offset + (whence == SEEK_CUR ? at : whence == SEEK_END ? end : 0);
    return at;
  }

  // Why libsndfile, which says `reason`, does not open it.
  std::string fault(const std::string& reason) const {
    return WavChunks(file).is_wav() ? wav_fault(file, reason) : "is a damaged FLAC file: its header cannot be read";
  }

  void require_readable() const {
    if (failed) std::rethrow_exception(failed);
  }

  InputFile file;
  std::int64_t at = 0, end = 0;  // end: of what is read of the file
  std::optional<WavLength> length;
  std::exception_ptr failed;
};

SoundBytes& bytes_of(void* user) { return *static_cast<SoundBytes*>(user); }

SF_VIRTUAL_IO virtual_io() {
  return {[](void* user) { return sf_count_t{bytes_of(user).end}; },
          [](sf_count_t offset, int whence, void* user) { return bytes_of(user).seek(offset, whence); },
          [](void* out, sf_count_t count, void* user) {
            return bytes_of(user).read(static_cast<std::uint8_t*>(out), count);
          },
          [](const void*, sf_count_t, void*) { return sf_count_t{0}; },
          [](void* user) { return sf_count_t{bytes_of(user).at}; }};
}

}  // namespace

struct SoundReader::File {
  explicit File(const std::string& name) : path(name), bytes(name) {}
  std::string path;
  SoundBytes bytes;
  SNDFILE* sound = nullptr;
  SF_INFO info{};
  std::int64_t frames_read = 0;
  std::vector<double> block;  // (frames, channels), a part of what is read at a time
  ~File() {
    if (sound != nullptr) sf_close(sound);
  }
  bool length_known() const { return info.frames > 0 && info.frames < SF_COUNT_MAX; }
};

SoundReader::SoundReader(const std::string& path) : file_(std::make_unique<File>(path)) {
  SF_VIRTUAL_IO io = virtual_io();
  file_->sound = sf_open_virtual(&io, SFM_READ, &file_->info, &file_->bytes);
  file_->bytes.require_readable();
  if (file_->sound == nullptr) throw_corrupt(path, file_->bytes.fault(sf_strerror(nullptr)));
  if (file_->info.samplerate < 1 || file_->info.channels < 1) throw_corrupt(path, "has no sample rate or no channels");
}

SoundReader::~SoundReader() = default;

int SoundReader::rate() const { return file_->info.samplerate; }

std::size_t SoundReader::read(std::span<double> mono) {
  const auto channels = static_cast<std::size_t>(file_->info.channels);
  mono = mono.first(std::min(mono.size(), std::max<std::size_t>(1, kBlock / channels)));
  if (file_->length_known()) {  // what follows the last one, a tag or another stream, is nobody's sound
    mono = mono.first(
        static_cast<std::size_t>(std::min<std::int64_t>(std::ssize(mono), file_->info.frames - file_->frames_read)));
    if (mono.empty()) return 0;
  }
  file_->block.resize(mono.size() * channels);
  const sf_count_t got = sf_readf_double(file_->sound, file_->block.data(), static_cast<sf_count_t>(mono.size()));
  file_->bytes.require_readable();
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
