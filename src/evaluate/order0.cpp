// This counts bytes and computes their entropy.
#include "evaluate/order0.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace longstride {

double order0_bits(const Dataset& data, ByteRange range) {
  std::array<std::int64_t, 256> counts{};
  std::vector<std::uint8_t> block(std::size_t{1} << 16);
  for (std::int64_t at = range.begin; at < range.end;) {
    const std::int64_t taken = std::min(range.end - at, static_cast<std::int64_t>(block.size()));
    const auto bytes = std::span(block).first(static_cast<std::size_t>(taken));
    data.read(at, bytes);
    for (const std::uint8_t byte : bytes) ++counts[byte];
    at += taken;
  }
  double bits = 0;
  for (const std::int64_t count : counts) {
    if (count == 0) continue;
    const double p = static_cast<double>(count) / static_cast<double>(range.size());
    bits -= p * std::log2(p);
  }
  return bits;
}

}  // namespace longstride
