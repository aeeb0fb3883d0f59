// Tiles in shared memory, and how the rows of a matrix come there. Rows of 8 neighbouring numbers have the same
// channels in different banks: a row's chunks of 16 bytes are swapped by the row's number.
#pragma once

#include <cstdint>

#include "cuda/attention/async_copies.h"
#include "cuda/text.h"
#include "pattern/walks.h"

namespace longstride::cuda {

// Channels are looked at in steps of so many; memory of a step that a head has not is zero.
inline constexpr int kChannelStep = 16;
constexpr int whole_steps(int channels) { return (channels + kChannelStep - 1) / kChannelStep * kChannelStep; }

// Rows of kChannels channels each.
template <class A, int kChannels>
struct SharedTile {
  static constexpr int kChunk = 16 / static_cast<int>(sizeof(A));  // channels that move together
  static constexpr int kChunks = kChannels / kChunk;
  static_assert(kChunks % 8 == 0);

  A* data = nullptr;

  static constexpr int bytes(int rows) { return rows * kChannels * static_cast<int>(sizeof(A)); }
  // Channels [channel, end of its chunk) of a row lie side by side from here on.
  static constexpr int offset(int row, int channel) {
    return row * kChannels + ((channel / kChunk) ^ (row % 8)) * kChunk + channel % kChunk;
  }
  LONGSTRIDE_DEVICE A* at(int row, int channel) const { return data + offset(row, channel); }
};

// One head of one sequence in global memory: channels [0, channels) of position i are data + i * row_stride.
template <class A>
struct HeadRows {
  A* data;
  std::int64_t row_stride;
  int channels;
  bool aligned;  // rows begin at multiples of 16 bytes, and are as long

  LONGSTRIDE_DEVICE A* row(int i) const { return data + i * row_stride; }
};

// The head of each sequence, as an operand says it.
template <class A>
struct HeadsView {
  A* data = nullptr;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;
  int channels = 0;
  bool aligned = false;

  HeadsView() = default;
  explicit HeadsView(const Heads& x)
      : data(static_cast<A*>(x.data)),
        batch_stride(x.batch_stride),
        row_stride(x.row_stride),
        head_stride(x.head_stride),
        channels(static_cast<int>(x.D)) {
    const std::int64_t size = sizeof(A), strides = batch_stride | row_stride | head_stride | channels;
    aligned = reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && strides * size % 16 == 0;
  }
  // (B, T, H, D), or with H before T, side by side.
  HeadsView(A* memory, std::int64_t T, std::int64_t H, std::int64_t D)
      : data(memory), batch_stride(H * T * D), row_stride(D), head_stride(T * D), channels(static_cast<int>(D)) {}

  LONGSTRIDE_DEVICE HeadRows<A> of(std::int64_t b, std::int64_t h) const {
    return {data + b * batch_stride + h * head_stride, row_stride, channels, aligned};
  }
};

// Asks for rows begin .. begin + count - 1 of some places as rows 0 .. of a tile; the rest of kRows rows is zero, and
// so are channels up to a whole step. first: the position of row 0 of `rows`. All threads of the block take part; the
// rows are there after the copies' wait and a sync.
template <int kRows, class Block, class Copies, class A, int kChannels>
LONGSTRIDE_DEVICE void load_rows(Block& block, Copies& copies, const SharedTile<A, kChannels>& tile,
                                 const HeadRows<A>& rows, const Places& places, int first, int begin, int count) {
  using Tile = SharedTile<A, kChannels>;
  const int steps = whole_steps(rows.channels);
  for (int at = block.thread(); at < kRows * Tile::kChunks; at += block.threads()) {
    const int row = at / Tile::kChunks, channel = at % Tile::kChunks * Tile::kChunk;
    if (channel >= steps) continue;
    const int there = row < count ? rows.channels - channel : 0;  // channels from here on
    const A* from = there > 0 ? rows.row(places.at(begin + row) - first) + channel : rows.data;
    A* to = tile.at(row, channel);
    if (rows.aligned) {
      copies.copy16(to, from, there > 0);
    } else {
      for (int c = 0; c < Tile::kChunk; ++c) to[c] = c < there ? from[c] : from_float<A>(0);
    }
  }
}

}  // namespace longstride::cuda
