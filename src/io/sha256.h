// SHA-256 (FIPS 180-4), incremental.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace longstride {

using Sha256State = std::array<std::uint32_t, 8>;

// One block of 64 bytes: by the standard's definition, and by the processor's instructions where it has them.
void sha256_block_plainly(Sha256State& state, const std::uint8_t* block);
void sha256_block(Sha256State& state, const std::uint8_t* block);

class Sha256 {
 public:
  void update(std::span<const std::uint8_t> bytes);
  std::array<std::uint8_t, 32> digest() const;  // of what was given so far; more may follow
  std::string hex() const;                      // the digest as 64 small hexadecimal digits

 private:
  Sha256State state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};  // the first length_ % 64 bytes wait here
  std::uint64_t length_ = 0;              // bytes given so far
};

std::string sha256_hex(std::span<const std::uint8_t> bytes);

}  // namespace longstride
