// This walks over the chunks of a WAV to its samples, and tells lengths from marks of an unknown one.
#include "io/wav_length.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::size_t kHead = 8;  // of a chunk: its name, then its length in 32 bits
constexpr std::uint64_t kInLargeHead = 0xffffffff;

class Wav {
 public:
  explicit Wav(const InputFile& file) : file_(file) {}

  bool is_one() const {
    return size() >= 12 && (has_name(0, "RIFF") || has_name(0, "RIFX") || has_name(0, "RF64"));
  }
  bool is_large() const { return has_name(0, "RF64"); }
  std::uint64_t size() const { return static_cast<std::uint64_t>(file_.size()); }
  bool has_head(std::uint64_t at) const { return at <= size() && size() - at >= kHead; }
  bool has_name(std::uint64_t at, std::string_view name) const {
    const std::vector<std::uint8_t> bytes = read(at, name.size());
    return std::equal(name.begin(), name.end(), bytes.begin(),
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
  }
  std::uint64_t length(std::uint64_t at) const { return number(at + 4, 4); }
  std::uint64_t after(std::uint64_t at) const { return at + kHead + length(at) + length(at) % 2; }

  std::uint64_t number(std::uint64_t at, std::size_t count) const {
    const std::vector<std::uint8_t> bytes = read(at, count);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{bytes[i]} << shift(i, count);
    return value;
  }
  WavLength written(std::uint64_t at, std::size_t count, std::uint64_t value) const {
    WavLength length{static_cast<std::size_t>(at), count, {}};
    for (std::size_t i = 0; i < count; ++i) length.bytes[i] = static_cast<std::uint8_t>(value >> shift(i, count));
    return length;
  }

  // Whether [at, end) is nothing but whole chunks with names of printable letters.
  bool is_chunks(std::uint64_t at) const {
    for (; has_head(at); at = after(at)) {
      const std::vector<std::uint8_t> name = read(at, 4);
      if (std::any_of(name.begin(), name.end(), [](std::uint8_t c) { return c < ' ' || c > '~'; })) return false;
    }
    return at == size() || at == size() + 1;  // the last one may lack what makes its length even
  }

 private:
  std::size_t shift(std::size_t i, std::size_t count) const { return 8 * (has_name(0, "RIFX") ? count - 1 - i : i); }

  std::vector<std::uint8_t> read(std::uint64_t at, std::size_t count) const {
    return file_.read(static_cast<std::int64_t>(at), static_cast<std::int64_t>(count));
  }

  const InputFile& file_;
};

// ffmpeg leaves 2^32 - 1, sox 0x7ffff000 less what makes it whole frames, arecord 2^31, others the largest number less
// a header: a file that lacks gigabytes but ends its length this close to a power of two was never so long.
bool is_near_mark(std::uint64_t length) {
  constexpr std::int64_t kNear = 1 << 16;
  const auto near = [&](std::int64_t power) { return std::abs(static_cast<std::int64_t>(length) - power) <= kNear; };
  return length <= kInLargeHead && (near(std::int64_t{1} << 31) || near(std::int64_t{1} << 32));
}

// libsndfile gives MPEG audio in a WAV to a decoder that prints.
void require_samples(std::uint64_t coding, const std::string& path) {
  constexpr std::uint64_t kMpeg = 0x50, kMpegLayer3 = 0x55;
  if (coding == kMpeg || coding == kMpegLayer3)
    throw_corrupt(path, "holds MPEG audio (MP3); needs samples: decode it first");
}

}  // namespace

std::optional<WavLength> find_wav_length(const InputFile& file) {
  const Wav wav(file);
  if (!wav.is_one()) return std::nullopt;
  std::uint64_t large_at = 0;  // where the length in 64 bits stands
  std::uint64_t at = 12;
  for (; wav.has_head(at) && !wav.has_name(at, "data"); at = wav.after(at)) {
    if (wav.is_large() && wav.has_name(at, "ds64") && wav.size() - at >= kHead + 16) large_at = at + kHead + 8;
    if (wav.has_name(at, "fmt ") && wav.size() - at >= kHead + 2) require_samples(wav.number(at + kHead, 2), file.path());
  }
  if (!wav.has_head(at)) return std::nullopt;  // libsndfile finds no samples and says so
  const bool large = large_at > 0 && wav.length(at) == kInLargeHead;
  const std::uint64_t promised = large ? wav.number(large_at, 8) : wav.length(at);
  const std::uint64_t begin = at + kHead, there = wav.size() - begin;
  const bool could_be_mark = promised == 0 || promised > INT64_MAX || is_near_mark(promised);
  const bool is_mark = could_be_mark && (promised > there || !wav.is_chunks(begin + promised + promised % 2));
  if (!is_mark) {
    if (promised <= there) return std::nullopt;
    throw_corrupt(file.path(), fmt::format("is cut: its header promises {} bytes of samples, {} are there",
                                    with_commas(static_cast<std::int64_t>(promised)),
                                    with_commas(static_cast<std::int64_t>(there))));
  }
  if (!large && there >= kInLargeHead) {
    throw_corrupt(file.path(),
                  "has more samples than the length in its header can say, and that is a mark of an unknown one; "
                  "convert it to FLAC or RF64");
  }
  return large ? wav.written(large_at, 8, there) : wav.written(at + 4, 4, there);
}

}  // namespace longstride
