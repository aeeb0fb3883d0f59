// Chunk after chunk of a WAV: RIFF, its big-endian twin RIFX, and RF64, whose lengths may have 64 bits.
//
//   0 "RIFF"  u32 length  "WAVE"     12 name of 4 letters  u32 length  what it holds  a byte where that is odd     ...
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace longstride {

class WavChunks {
 public:
  static constexpr std::size_t kHead = 8;  // of a chunk: its name, then its length in 32 bits

  explicit WavChunks(const InputFile& file) : file_(file) {}

  bool is_wav() const { return size() >= 12 && (has_name(0, "RIFF") || has_name(0, "RIFX") || has_name(0, "RF64")); }
  bool is_large() const { return has_name(0, "RF64"); }
  std::uint64_t size() const { return static_cast<std::uint64_t>(file_.size()); }
  static constexpr std::uint64_t first() { return 12; }
  bool has_head(std::uint64_t at) const { return at <= size() && size() - at >= kHead; }
  bool has_name(std::uint64_t at, std::string_view name) const {
    const std::vector<std::uint8_t> bytes = read(at, name.size());
    return std::equal(name.begin(), name.end(), bytes.begin(),
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
  }
  // Of the chunk that begins at `at`, which must have a head.
  bool is_named(std::uint64_t at) const {  // by printable letters
    const std::vector<std::uint8_t> name = read(at, 4);
    return std::all_of(name.begin(), name.end(), [](std::uint8_t c) { return c >= ' ' && c <= '~'; });
  }
  std::string name(std::uint64_t at) const {
    const std::vector<std::uint8_t> bytes = read(at, 4);
    return {bytes.begin(), bytes.end()};
  }
  std::uint64_t length(std::uint64_t at) const { return number(at + 4, 4); }
  std::uint64_t after(std::uint64_t at) const { return at + kHead + length(at) + length(at) % 2; }

  std::uint64_t number(std::uint64_t at, std::size_t count) const {
    const std::vector<std::uint8_t> bytes = read(at, count);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{bytes[i]} << shift(i, count);
    return value;
  }
  // By how much the i-th of `count` bytes of a number stands to the left.
  std::size_t shift(std::size_t i, std::size_t count) const { return 8 * (has_name(0, "RIFX") ? count - 1 - i : i); }

 private:
  std::vector<std::uint8_t> read(std::uint64_t at, std::size_t count) const {
    return file_.read(static_cast<std::int64_t>(at), static_cast<std::int64_t>(count));
  }

  const InputFile& file_;
};

}  // namespace longstride
