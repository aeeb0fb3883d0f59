// This walks over the chunks of a WAV to its samples, and tells lengths from marks of an unknown one.
#include "io/wav_length.h"

#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "io/wav_chunks.h"
#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::uint64_t kInLargeHead = 0xffffffff;
constexpr std::uint64_t kHead = WavChunks::kHead;

WavLength written(const WavChunks& wav, std::uint64_t at, std::size_t count, std::uint64_t value) {
  WavLength length{static_cast<std::size_t>(at), count, {}};
  for (std::size_t i = 0; i < count; ++i) length.bytes[i] = static_cast<std::uint8_t>(value >> wav.shift(i, count));
  return length;
}

// Whether [at, end) is nothing but whole chunks with names of printable letters.
bool is_chunks(const WavChunks& wav, std::uint64_t at) {
  for (; wav.has_head(at); at = wav.after(at))
    if (!wav.is_named(at)) return false;
  return at == wav.size() || at == wav.size() + 1;  // the last one may lack what makes its length even
}

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
  const WavChunks wav(file);
  if (!wav.is_wav()) return std::nullopt;
  std::uint64_t large_at = 0;  // where the length in 64 bits stands
  std::uint64_t at = WavChunks::first();
  for (; wav.has_head(at) && !wav.has_name(at, "data"); at = wav.after(at)) {
    if (wav.is_large() && wav.has_name(at, "ds64") && wav.size() - at >= kHead + 16) large_at = at + kHead + 8;
    if (wav.has_name(at, "fmt ") && wav.size() - at >= kHead + 2)
      require_samples(wav.number(at + kHead, 2), file.path());
  }
  if (!wav.has_head(at)) return std::nullopt;  // libsndfile finds no samples and says so
  const bool large = large_at > 0 && wav.length(at) == kInLargeHead;
  const std::uint64_t promised = large ? wav.number(large_at, 8) : wav.length(at);
  const std::uint64_t begin = at + kHead, there = wav.size() - begin;
  const bool could_be_mark = promised == 0 || promised > INT64_MAX || is_near_mark(promised);
  const bool is_mark = could_be_mark && (promised > there || !is_chunks(wav, begin + promised + promised % 2));
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
  return large ? written(wav, large_at, 8, there) : written(wav, at + 4, 4, there);
}

}  // namespace longstride
