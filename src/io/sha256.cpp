// This hands bytes to nettle and writes digests as digits.
#include "io/sha256.h"

#include <nettle/sha2.h>

namespace longstride {

Sha256::Sha256() : context_(std::make_unique<sha256_ctx>()) { sha256_init(context_.get()); }
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::uint8_t> bytes) { sha256_update(context_.get(), bytes.size(), bytes.data()); }

std::array<std::uint8_t, 32> Sha256::digest() const {
  sha256_ctx context = *context_;  // asked for its digest, it begins anew
  std::array<std::uint8_t, 32> digest;
  sha256_digest(&context, digest.size(), digest.data());
  return digest;
}

std::string Sha256::hex() const {
  std::string out;
  for (const std::uint8_t byte : digest()) {
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
  return out;
}

std::string sha256_hex(std::span<const std::uint8_t> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

}  // namespace longstride
