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
constexpr std::int64_t kTagBytes = 128;         // of ID3v1
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

bool begins_with(std::string_view mark, std::span<const std::uint8_t> bytes) {
  return std::equal(mark.begin(), mark.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

bool ends_with_frame(const InputFile& file, std::int64_t end) {
  const std::int64_t lowest = std::max(kInfoEnd, end - kMostFrame);
  const std::vector<std::uint8_t> last = file.read(lowest, end - lowest);
  for (std::size_t at = last.size() - 1; at-- > 0;) {
    const bool frame = last[at] == 0xff && (last[at + 1] & 0xfe) == 0xf8;
    if (frame && crc16(std::span(last).subspan(at)) == 0) return true;
  }
  return false;
}

}  // namespace

std::int64_t flac_end(const InputFile& file) {
  if (file.size() <= kInfoEnd) return file.size();
  const std::vector<std::uint8_t> info = file.beginning(kInfoEnd);
  if (!begins_with("fLaC", info) || knows_length(info) || ends_with_frame(file, file.size())) return file.size();
  const std::int64_t tag = file.size() - kTagBytes;
  if (tag > kInfoEnd && begins_with("TAG", file.read(tag, kTagBytes)) && ends_with_frame(file, tag)) return tag;
  throw_corrupt(file.path(), "is cut: it does not say how many samples it has, and its last frame is not whole");
}

}  // namespace longstride
