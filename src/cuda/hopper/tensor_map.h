// Views of heads for Hopper's copy engine (TMA): the heads of each sequence as a tensor of four dimensions, of which a
// copy brings a box: 64 channels of some positions of one head. Rows of a box land side by side in shared memory, 128
// bytes each, their chunks of 16 bytes swapped by the row's address (swizzle_128_bytes in cuda/hopper/operands.h); what
// lies outside the tensor lands as zeros.
#pragma once

#include <cstdint>

#include "cuda/text.h"
#include "ops/tensor.h"

namespace longstride::cuda {

inline constexpr int kBoxChannels = 64;
inline constexpr int kBoxRowBytes = 128;

// What the copy engine reads, a CUtensorMap (which newer versions of CUDA align to 128 bytes); in the twin of a card
// plain numbers (cuda/host/tensor_map.h).
struct alignas(128) TensorMap {
  std::uint64_t words[16] = {};
};

// Dimensions 1 to 3 of a tensor are positions, heads and sequences in the order of their strides, smallest first.
struct TensorOrder {
  std::uint8_t position = 1, head = 2, sequence = 3;  // which dimension each is
  LONGSTRIDE_DEVICE int coordinate(int dimension, int i, int h, int b) const {
    return position == dimension ? i : head == dimension ? h : b;
  }
};

// The two ways in which rows of heads are brought: one position, and several neighbours.
inline constexpr int kNeighbours = 8;
struct HeadsMap {
  TensorMap one, neighbours;
  TensorOrder order;
  int positions = 0;  // those from here on are outside
};

// Whether the copy engine takes them: bfloat16, channels, address and strides multiples of 16 bytes. Where D is no
// multiple of 64, a box's last channels lie outside.
bool can_map(const Heads& x);
// x: can_map(x). Error unavailable: the driver does not take it.
HeadsMap map_of(const Heads& x);

// A tensor as the driver is told of it. Dimension 0 are channels, side by side.
struct TensorShape {
  std::uint64_t extents[4];
  std::uint64_t strides_bytes[3];  // of dimensions 1 to 3
};
TensorShape shape_of(const Heads& x, TensorOrder& order);
// Of boxes of kBoxChannels channels and `rows` positions.
TensorMap encode(const Heads& x, const TensorShape& shape, const TensorOrder& order, int rows);

}  // namespace longstride::cuda
