// SHA-256 (FIPS 180-4), incremental, by nettle.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct sha256_ctx;  // nettle's

namespace longstride {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::span<const std::uint8_t> bytes);
  std::array<std::uint8_t, 32> digest() const;  // of what was given so far; more may follow
  std::string hex() const;                      // the digest as 64 small hexadecimal digits

 private:
  std::unique_ptr<sha256_ctx> context_;
};

std::string sha256_hex(std::span<const std::uint8_t> bytes);

}  // namespace longstride
