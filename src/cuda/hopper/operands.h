// Operands of Hopper's products in shared memory: how tiles lie there, and the 64 bits by which a product is told of
// one (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions", matrix descriptors and canonical layouts).
//
// Bytes lie in rows of 128, eight of which are a block of 1,024 at a multiple of that; within it chunk c of 16 bytes of
// row r is in the place of chunk c ^ r. So the swap follows from the address alone: bits 4 to 6 are combined with bits
// 7 to 9.
#pragma once

#include <cstdint>

#include "cuda/hopper/tensor_map.h"
#include "cuda/text.h"

namespace longstride::cuda {

inline constexpr int kSwizzleBytes = 1024;  // what a tile begins at a multiple of

constexpr std::uint32_t swizzle_128_bytes(std::uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

// Rows of kChannels bfloat16 each, 64 channels of all rows after the other: what boxes of a TensorMap make of them.
template <int kTileRows, int kChannels>
struct SwizzledTile {
  static_assert(kTileRows % 8 == 0 && kChannels % kBoxChannels == 0);
  static constexpr int kPanels = kChannels / kBoxChannels;
  static constexpr int kPanelBytes = kTileRows * kBoxRowBytes;
  static constexpr int kBytes = kPanels * kPanelBytes;

  // Where a row's 64 channels begin, as a box is told.
  static constexpr int row_offset(int row, int panel) { return panel * kPanelBytes + row * kBoxRowBytes; }
  // Where one element lies.
  static constexpr int offset(int row, int channel) {
    return static_cast<int>(swizzle_128_bytes(static_cast<std::uint32_t>(
        row_offset(row, channel / kBoxChannels) + channel % kBoxChannels * static_cast<int>(sizeof(bf16)))));
  }
};

// A matrix in shared memory. outer: its rows if it is the left operand, its columns if it is the right one; inner: the
// 16 that a product sums over. Either the inner elements of one outer lie side by side ("K-major"), or the outer
// elements of one inner ("MN-major", which the instruction calls transposed).
//   K-major:  outer in eights, one after the other `stride` bytes on; of each 128 bytes the inner ones.
//   MN-major: outer in sixty-fours, `leading` bytes on; inner in eights, `stride` bytes on, each 128 bytes on.
constexpr std::uint64_t operand(std::uint32_t address, std::uint32_t leading_bytes, std::uint32_t stride_bytes) {
  constexpr std::uint64_t kSwizzle128 = 1;
  return (std::uint64_t{address} & 0x3ffff) >> 4 | std::uint64_t{leading_bytes & 0x3ffff} >> 4 << 16 |
         std::uint64_t{stride_bytes & 0x3ffff} >> 4 << 32 | kSwizzle128 << 62;
}

// Rows row .. row + 63 (left) or row .. row + N - 1 (right) of a tile at `address` as outer, channels channel ..
// channel + 15 as inner.
template <class Tile>
LONGSTRIDE_DEVICE std::uint64_t rows_operand(std::uint32_t address, int row, int channel) {
  const int at =
      Tile::row_offset(row, channel / kBoxChannels) + channel % kBoxChannels * static_cast<int>(sizeof(bf16));
  return operand(address + static_cast<std::uint32_t>(at), 16, kSwizzleBytes);
}
// All channels as outer, rows row .. row + 15 as inner.
template <class Tile>
LONGSTRIDE_DEVICE std::uint64_t columns_operand(std::uint32_t address, int row) {
  return operand(address + static_cast<std::uint32_t>(Tile::row_offset(row, 0)), Tile::kPanelBytes, kSwizzleBytes);
}

// Where the element lies that an operand has at (outer, inner): the address that the tensor cores read.
constexpr std::uint32_t element_address(std::uint64_t bits, bool transposed, int outer, int inner) {
  const auto field = [&](int bit) { return static_cast<std::uint32_t>(bits >> bit & 0x3fff) << 4; };
  const std::uint32_t start = field(0), leading = field(16), stride = field(32);
  const auto o = static_cast<std::uint32_t>(outer), i = static_cast<std::uint32_t>(inner);
  const std::uint32_t at =
      transposed ? o / 64 * leading + o % 64 * 2 + i / 8 * stride + i % 8 * 128 : o / 8 * stride + o % 8 * 128 + i * 2;
  return swizzle_128_bytes(start + at);
}

}  // namespace longstride::cuda
