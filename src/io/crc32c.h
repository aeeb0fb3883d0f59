// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as TFRecord files use it.
#pragma once

#include <cstdint>
#include <span>

namespace longstride {

std::uint32_t crc32c(std::span<const std::uint8_t> bytes);

// TFRecord stores a checksum masked (rotated right by 15, plus a constant), so that the checksum of a record that holds
// checksums is not itself a special value (tensorflow/core/lib/hash/crc32c.h).
inline std::uint32_t masked_crc32c(std::span<const std::uint8_t> bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

}  // namespace longstride
