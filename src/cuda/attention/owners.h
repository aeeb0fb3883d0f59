// What the kernels of attention have in common: which heads a launch is for, which of its rows a block of threads owns,
// how it walks tiles of the other side, and where its sums go. Parameters go to a kernel by value, as plain numbers.
#pragma once

#include <cstdint>

#include "cuda/attention/fragments.h"
#include "cuda/text.h"
#include "pattern/walks.h"

namespace longstride::cuda {

inline constexpr float kLog2e = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

// A kernel's parameters are 4 KiB at most; more heads or patterns take several launches.
struct LaunchHeads {
  static constexpr int kMostWalks = 6, kMostHeads = 64;
  Walks walks[kMostWalks];
  std::uint8_t walk[kMostHeads] = {};
  std::int16_t head[kMostHeads] = {};
  int heads = 0;

  // Blocks of a grid: y is the place in this list, z the sequence.
  LONGSTRIDE_DEVICE const Walks& walks_of(int y) const { return walks[walk[y]]; }
};

// A head of a sequence, and which of its queries or keys a block of threads owns.
struct Owner {
  int b, h;
  const Walks& walks;
  WalkBlock block;
};

// Where rows of a result go. What the sweeps or streams of a pattern add to a row one after the other is kept in
// float32, in `partial`, until the last of them writes the row; in float32 both are the same memory.
template <class A>
struct Result {
  HeadsView<A> rows;
  HeadsView<float> partial;
};

// Row i of a head becomes factor * sum + before * partial, where it is begun. half: the fragment's row, lane / 4 + 8 *
// half. from: the channel of the first column.
template <int kSums, class A>
LONGSTRIDE_DEVICE void store_row(const Result<A>& result, const Owner& owner, int i, bool last,
                                 const float (&sum)[kSums / 8][4], int half, int lane, int from, float factor,
                                 bool begun, float before) {
  A* const row = result.rows.of(owner.b, owner.h).row(i);
  float* const partial = result.partial.of(owner.b, owner.h).row(i);
  LONGSTRIDE_UNROLL
  for (int t = 0; t < kSums / 8; ++t) {
    LONGSTRIDE_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int channel = from + t * 8 + lane % 4 * 2 + e;
      if (channel < result.rows.channels) {
        float x = factor * sum[t][half * 2 + e];
        if (begun) x += before * partial[channel];
        if (last)
          row[channel] = from_float<A>(x);
        else
          partial[channel] = x;
      }
    }
  }
}

// Which warp of a block does what: each has 16 rows of the owner's, and sums of kSums channels, of which registers hold
// no more; of wider heads two warps have the same rows and scores.
template <int kRows, int kChannels>
struct RowWarps {
  static constexpr int kSums = kChannels < 128 ? kChannels : 128;
  static constexpr int kOfRows = kRows / kWarpRows, kCount = kOfRows * (kChannels / kSums);
  template <class Block>
  static LONGSTRIDE_DEVICE int first_row(Block& block) {
    return block.warp() % kOfRows * kWarpRows;
  }
  template <class Block>
  static LONGSTRIDE_DEVICE int first_sum(Block& block) {
    return block.warp() / kOfRows * kSums;
  }
};

// What a lane gives RowMasks: bits of its row of the warp, of 32 columns of the tile. Queries own, keys are walked.
LONGSTRIDE_DEVICE std::uint32_t keys_of_lane(const Owner& owner, int first_row, int lane, const WalkTile& tile) {
  const int row = first_row + lane % 16, column = lane / 16 * 32;
  if (row >= owner.block.count || column >= tile.count) return 0;
  return owner.walks.keys_of_query(tile.stream, tile.places, owner.block.places.at(owner.block.begin + row),
                                   tile.begin + column) &
         bits_of_range(0, tile.count - column);
}
// Keys own, queries are walked.
LONGSTRIDE_DEVICE std::uint32_t queries_of_lane(const Owner& owner, int first_row, int lane, const WalkTile& tile) {
  const int row = first_row + lane % 16, column = lane / 16 * 32;
  if (row >= owner.block.count || column >= tile.count) return 0;
  return owner.walks.queries_of_key(tile.stream, tile.places, owner.block.places.at(owner.block.begin + row),
                                    tile.begin + column) &
         bits_of_range(0, tile.count - column);
}

// Walks tiles of up to `size` neighbours with two stages of shared memory: load(tile, stage) asks for the next tile's
// rows while work(tile, stage) computes with those that are there.
template <class Block, class Copies, class Walk, class Load, class Work>
LONGSTRIDE_DEVICE void walk_tiles(Block& block, Copies& copies, Walk walk, int size, const Load& load,
                                  const Work& work) {
  WalkTile tile, next;
  bool there = walk.next(tile, size);
  if (there) load(tile, 0);
  for (int stage = 0; there; stage ^= 1) {
    copies.wait();
    block.sync();  // this tile is there, and nobody reads the other stage any more
    const bool another = walk.next(next, size);
    if (another) load(next, stage ^ 1);
    work(tile, stage);
    tile = next;
    there = another;
  }
}

}  // namespace longstride::cuda
