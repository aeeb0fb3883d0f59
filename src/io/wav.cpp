// WAV of 16-bit samples and one channel: 44 bytes of header, then the samples, little-endian. Written by hand, because
// a file that grows needs its header corrected and nothing else, and so that every build has it.
//
//   0  "RIFF"  36 + D, u32  "WAVE"
//   12 "fmt "  16, u32   1 (PCM), u16   1 (channels), u16   rate, u32   2 rate, u32 (bytes a second)   2, u16   16, u16
//   36 "data"  D, u32 (bytes of samples)
#include "io/wav.h"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "io/file.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kHeaderBytes = 44;
constexpr std::int64_t kMostSamples = (0xffffffffLL - kHeaderBytes) / 2;  // so that no size leaves 32 bits

void put_number(std::vector<std::uint8_t>& out, std::int64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_word(std::vector<std::uint8_t>& out, std::string_view word) {
  for (const char letter : word) out.push_back(static_cast<std::uint8_t>(letter));
}

std::vector<std::uint8_t> header(std::int64_t rate, std::int64_t samples) {
  std::vector<std::uint8_t> out;
  put_word(out, "RIFF");
  put_number(out, kHeaderBytes - 8 + 2 * samples, 4);
  put_word(out, "WAVEfmt ");
  put_number(out, 16, 4);
  put_number(out, 1, 2);
  put_number(out, 1, 2);
  put_number(out, rate, 4);
  put_number(out, 2 * rate, 4);
  put_number(out, 2, 2);
  put_number(out, 16, 2);
  put_word(out, "data");
  put_number(out, 2 * samples, 4);
  return out;
}

void put_samples(std::vector<std::uint8_t>& out, std::span<const std::int16_t> samples) {
  for (const std::int16_t sample : samples) put_number(out, sample, 2);
}

}  // namespace

std::vector<std::uint8_t> encode_wav(const Sound& sound) {
  std::vector<std::uint8_t> out = header(sound.rate, static_cast<std::int64_t>(sound.samples.size()));
  put_samples(out, sound.samples);
  return out;
}

// The empty WAV takes the name's place in one step; from there on the file grows where it is.
WavWriter::WavWriter(const std::string& path, std::int64_t rate) : path_(path), rate_(rate) {
  if (is_written_in_place(path)) {
    throw Error(
        ErrorKind::invalid_argument,
        fmt::format("cannot write \"{}\": a WAV that grows needs a file, for its header says its length", path));
  }
  write_file_atomically(path, header(rate, 0));
  descriptor_ = open_path(path, O_WRONLY);
  if (descriptor_ < 0) fail_system("write", path);
}

WavWriter::~WavWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

WavWriter::WavWriter(WavWriter&& other) noexcept
    : path_(std::move(other.path_)),
      rate_(other.rate_),
      samples_(other.samples_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

WavWriter& WavWriter::operator=(WavWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(rate_, other.rate_);
  std::swap(samples_, other.samples_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

// Samples first: whenever this is cut short, the header counts no more than there are.
void WavWriter::append(std::span<const std::int16_t> samples) {
  const auto count = static_cast<std::int64_t>(samples.size());
  if (count > kMostSamples - samples_) {
    throw Error(ErrorKind::exhausted,
                fmt::format("cannot write \"{}\": a WAV holds at most {} samples", path_, with_commas(kMostSamples)));
  }
  std::vector<std::uint8_t> bytes;
  put_samples(bytes, samples);
  if (::lseek(descriptor_, kHeaderBytes + 2 * samples_, SEEK_SET) < 0) fail_system("write", path_);
  write_all(descriptor_, bytes, path_);
  samples_ += count;
  if (::lseek(descriptor_, 0, SEEK_SET) < 0) fail_system("write", path_);
  write_all(descriptor_, header(rate_, samples_), path_);
}

void WavWriter::sync() {
  if (sync_descriptor(descriptor_) != 0) fail_system("write", path_);
}

}  // namespace longstride
