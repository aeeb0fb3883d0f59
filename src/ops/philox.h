// Randomness as a function: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
// Random123) keyed by (seed, purpose) and counted by (element, layer and site, step). No state, so nothing depends on
// threads, devices or resumption.
#pragma once

#include <array>
#include <cstdint>

namespace longstride {

enum class Purpose : std::uint32_t { dropout = 1, data_order = 2, initialise = 3, sample = 4, test = 5 };

using PhiloxKey = std::array<std::uint32_t, 2>;
using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxKey philox_key(std::int64_t seed, Purpose purpose) {
  const auto bits = static_cast<std::uint64_t>(seed);
  return {static_cast<std::uint32_t>(bits),
          static_cast<std::uint32_t>(bits >> 32) ^ (static_cast<std::uint32_t>(purpose) * 0x9E3779B9u)};
}

constexpr PhiloxBlock philox(PhiloxBlock counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1) from the top 24 bits: exact in float32.
constexpr float uniform_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
// Uniform in (0, 1], from 32 bits.
constexpr double uniform_double(std::uint32_t bits) { return (static_cast<double>(bits) + 1) * 0x1p-32; }

}  // namespace longstride
