// This looks for the start of the last frame of a FLAC by the checksum that every frame ends with.
#include "io/flac_end.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kInfoEnd = 42;           // the mark, a header of 4 bytes, 34 of STREAMINFO
constexpr std::int64_t kMostFrame = 3'000'000;  // 65,535 samples of 8 channels, which may take more than their 4 bytes

// CRC-16 of FLAC: x^16 + x^15 + x^2 + 1, from 0 on, the highest bit first. 0 of a frame together with its checksum.
std::uint16_t crc16(std::span<const std::uint8_t> bytes) {
  static const auto table = [] {
    std::array<std::uint16_t, 256> made{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      unsigned value = byte << 8;
      for (int bit = 0; bit < 8; ++bit) value = value << 1 ^ (value & 0x8000 ? 0x8005 : 0);
      made[byte] = static_cast<std::uint16_t>(value);
    }
    return made;
  }();
  unsigned value = 0;
  for (const std::uint8_t byte : bytes) value = (value << 8 & 0xffff) ^ table[value >> 8 ^ byte];
  return static_cast<std::uint16_t>(value);
}

// The number of samples, the last 36 bits before the digest.
bool knows_length(std::span<const std::uint8_t> bytes) {
  return (bytes[21] & 0x0f) != 0 || std::any_of(bytes.begin() + 22, bytes.begin() + 26, [](auto b) { return b != 0; });
}

}  // namespace

void check_flac_end(const InputFile& file) {
  constexpr std::string_view kMark = "fLaC";
  if (file.size() <= kInfoEnd) return;
  const std::vector<std::uint8_t> info = file.beginning(kInfoEnd);
  if (!std::equal(kMark.begin(), kMark.end(), info.begin()) || knows_length(info)) return;
  const std::int64_t lowest = std::max(kInfoEnd, file.size() - kMostFrame);
  const std::vector<std::uint8_t> end = file.read(lowest, file.size() - lowest);
  for (std::size_t at = end.size() - 1; at-- > 0;) {
    const bool frame = end[at] == 0xff && (end[at + 1] & 0xfe) == 0xf8;
    if (frame && crc16(std::span(end).subspan(at)) == 0) return;
  }
  throw_corrupt(file.path(), "is cut: it does not say how many samples it has, and its last frame is not whole");
}

}  // namespace longstride
