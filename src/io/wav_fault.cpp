// This looks through the chunks of a WAV for what its reader will not have.
#include "io/wav_fault.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "io/wav_chunks.h"
#include "io/words.h"

namespace longstride {
namespace {

constexpr std::uint64_t kWhole = 1, kFloat = 3, kExtensible = 0xfffe;  // what "fmt " calls the coding of samples
constexpr std::uint64_t kShortestFormat = 16, kLongFormat = 40;        // bytes of "fmt ", the second with a GUID
constexpr std::uint64_t kMostChannels = 1024;                          // of libsndfile

struct Chunks {
  std::vector<std::uint64_t> formats, samples;  // where chunks of these kinds begin
  std::uint64_t unpadded = 0;                   // one whose odd length is not made even, 0: none
};

// Up to what is no chunk any more.
Chunks find_chunks(const WavChunks& wav) {
  Chunks found;
  for (std::uint64_t at = WavChunks::first(), odd = 0; wav.has_head(at); at = wav.after(at)) {
    if (!wav.is_named(at)) {
      const bool one_before = odd > 0 && wav.is_named(at - 1);
      found.unpadded = one_before ? odd : 0;
      break;
    }
    if (wav.has_name(at, "fmt ")) found.formats.push_back(at);
    if (wav.has_name(at, "data")) found.samples.push_back(at);
    odd = wav.length(at) % 2 == 1 ? at : 0;
  }
  return found;
}

// What is wrong with the chunks as such; empty where nothing is.
std::string fault_of(const Chunks& chunks, const WavChunks& wav) {
  if (chunks.formats.size() > 1)
    return fmt::format("it has {} \"fmt \" chunks, which say what its samples are", chunks.formats.size());
  if (chunks.samples.size() > 1) return fmt::format("its samples lie in {} \"data\" chunks", chunks.samples.size());
  if (chunks.unpadded > 0)
    return fmt::format("its \"{}\" chunk of {} bytes lacks the byte that makes its length even",
                       wav.name(chunks.unpadded), with_commas(static_cast<std::int64_t>(wav.length(chunks.unpadded))));
  if (chunks.formats.empty()) return "no \"fmt \" chunk says what its samples are";
  if (chunks.samples.empty()) return "no \"data\" chunk holds its samples";
  if (chunks.samples.front() < chunks.formats.front())
    return "its \"fmt \" chunk, which says what its samples are, stands behind them";
  return "";
}

struct Format {
  std::uint64_t coding, channels, rate, bits;
};

// Of a chunk of kShortestFormat bytes at least. Where the coding is said to stand further on, that is the one.
Format read_format(const WavChunks& wav, std::uint64_t at) {
  const std::uint64_t begin = at + WavChunks::kHead;
  Format format{wav.number(begin, 2), wav.number(begin + 2, 2), wav.number(begin + 4, 4), wav.number(begin + 14, 2)};
  const bool is_long = wav.length(at) >= kLongFormat && wav.size() - begin >= kLongFormat;
  if (format.coding == kExtensible && is_long) format.coding = wav.number(begin + 24, 2);
  return format;
}

std::string coding_words(std::uint64_t coding) {
  if (coding == kWhole) return "format 1 (whole numbers)";
  return coding == kFloat ? "format 3 (floating point)" : fmt::format("format {}", coding);
}

bool is_read(const Format& format) {
  const auto is_one_of = [&](std::initializer_list<std::uint64_t> sizes) {
    return std::find(sizes.begin(), sizes.end(), format.bits) != sizes.end();
  };
  return (format.coding == kWhole && is_one_of({8, 16, 24, 32})) || (format.coding == kFloat && is_one_of({32, 64}));
}

}  // namespace

std::string wav_fault(const InputFile& file, const std::string& reason) {
  const std::string damaged = "is a damaged WAV: ";
  const WavChunks wav(file);
  const Chunks chunks = find_chunks(wav);
  if (const std::string fault = fault_of(chunks, wav); !fault.empty()) return damaged + fault;
  const std::uint64_t at = chunks.formats.front();
  if (wav.length(at) < kShortestFormat || wav.size() - at - WavChunks::kHead < kShortestFormat)
    return damaged + fmt::format("its \"fmt \" chunk has {} bytes of at least {}", wav.length(at), kShortestFormat);
  const Format format = read_format(wav, at);
  if (format.rate < 1 || format.rate > std::numeric_limits<std::int32_t>::max())
    return damaged + fmt::format("its header names a rate of {} samples a second",
                                 with_commas(static_cast<std::int64_t>(format.rate)));
  if (format.channels < 1 || format.channels > kMostChannels)
    return damaged + fmt::format("its header names {} channels, of 1 to {}", format.channels, kMostChannels);
  if (!is_read(format))
    return fmt::format(
        "is a WAV of a kind that is not read: {} of {} bits a sample; make it whole numbers of 8, 16, 24 or 32 bits, "
        "or "
        "floating point of 32 or 64",
        coding_words(format.coding), format.bits);
  return fmt::format("is a damaged WAV, or of a kind that is not read ({})", reason);
}

}  // namespace longstride
