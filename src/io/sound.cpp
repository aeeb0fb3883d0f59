// This reads WAV and FLAC by libsndfile.
#include "io/sound.h"

#include <fcntl.h>
#include <sndfile.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "io/file.h"
#include "io/flac_end.h"
#include "io/system.h"
#include "io/wav_length.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {

namespace {

constexpr std::size_t kBlock = 1 << 16;  // numbers read at a time, of all channels

// The file as libsndfile reads it: with the true length of a WAV where its header has a mark.
struct SoundBytes {
  explicit SoundBytes(const std::string& path) : file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (file.get() < 0) fail_system("open", path);
    const MappedFile whole(path);
    if (whole.size() == 0) throw_corrupt(path, "is empty");
    size = whole.size();
    length = find_wav_length(whole.bytes(), path);
    check_flac_end(whole.bytes(), path);
  }

  // Fewer than `count` where the file ends or cannot be read: libsndfile is C, no exception may pass through it.
  sf_count_t read(std::uint8_t* out, sf_count_t count) {
    sf_count_t done = 0;
    while (done < count) {
      const ssize_t got = ::pread(file.get(), out + done, static_cast<std::size_t>(count - done), at + done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += got;
    }
    for (std::size_t i = 0; length && i < length->size; ++i) {
      const sf_count_t place = static_cast<sf_count_t>(length->at + i) - at;
      if (place >= 0 && place < done) out[place] = length->bytes[i];
    }
    at += done;
    return done;
  }

  sf_count_t seek(sf_count_t offset, int whence) {
    at = offset + (whence == SEEK_CUR ? at : whence == SEEK_END ? size : 0);
    return at;
  }

  Descriptor file;
  std::int64_t size = 0, at = 0;
  std::optional<WavLength> length;
};

SoundBytes& bytes_of(void* user) { return *static_cast<SoundBytes*>(user); }

SF_VIRTUAL_IO virtual_io() {
  return {[](void* user) { return sf_count_t{bytes_of(user).size}; },
          [](sf_count_t offset, int whence, void* user) { return bytes_of(user).seek(offset, whence); },
          [](void* out, sf_count_t count, void* user) {
            return bytes_of(user).read(static_cast<std::uint8_t*>(out), count);
          },
          [](const void*, sf_count_t, void*) { return sf_count_t{0}; },
          [](void* user) { return sf_count_t{bytes_of(user).at}; }};
}

bool is_wav_or_flac(int format) {
  const int kind = format & SF_FORMAT_TYPEMASK;
  return kind == SF_FORMAT_WAV || kind == SF_FORMAT_WAVEX || kind == SF_FORMAT_RF64 || kind == SF_FORMAT_FLAC;
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
  if (file_->sound == nullptr) throw_corrupt(path, fmt::format("is no WAV or FLAC file: {}", sf_strerror(nullptr)));
  if (!is_wav_or_flac(file_->info.format)) throw_corrupt(path, "is a sound file of another kind than WAV and FLAC");
  if (file_->info.samplerate < 1 || file_->info.channels < 1) throw_corrupt(path, "has no sample rate or no channels");
}

SoundReader::~SoundReader() = default;

int SoundReader::rate() const { return file_->info.samplerate; }

std::size_t SoundReader::read(std::span<double> mono) {
  const auto channels = static_cast<std::size_t>(file_->info.channels);
  const std::size_t at_once = std::max<std::size_t>(1, kBlock / channels);
  std::size_t done = 0;
  while (done < mono.size()) {
    const std::size_t wanted = std::min(at_once, mono.size() - done);
    const std::size_t got = read_block(mono.subspan(done, wanted));
    done += got;
    if (got < wanted) break;
  }
  if (done < mono.size() && file_->length_known() && file_->frames_read < file_->info.frames) {
    throw_corrupt(file_->path, fmt::format("is cut: its header promises {} samples, {} are there",
                                           with_commas(file_->info.frames), with_commas(file_->frames_read)));
  }
  return done;
}

std::size_t SoundReader::read_block(std::span<double> mono) {
  const auto channels = static_cast<std::size_t>(file_->info.channels);
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
    if (!std::isfinite(mono[i])) {
      throw_corrupt(file_->path, fmt::format("holds a value that is no number, sample {}",
                                             with_commas(file_->frames_read + static_cast<std::int64_t>(i))));
    }
  }
  file_->frames_read += static_cast<std::int64_t>(frames);
  return frames;
}

}  // namespace longstride
