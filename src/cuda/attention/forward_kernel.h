// Attention forward: a block of threads owns some queries of one head, walks the tiles of keys that one sweep of its
// pattern shows them, and keeps for each query the largest score, the sum of weights and the sum of weighted values.
// What an earlier sweep has written is joined by the log of its sum.
#pragma once

#include <cmath>
#include <cstddef>

#include "cuda/attention/owners.h"

namespace longstride::cuda {

// Queries of a block and keys of a tile, so that two tiles of keys and values fit beside the queries in 99 KiB, which
// every card from sm_80 on has, and sums fit in registers.
template <class A, int kChannels>
struct ForwardSizes {
  static constexpr bool kHalf = sizeof(A) == 2;
  static constexpr int kRows = !kHalf && kChannels > 128 ? 16 : 64;
  static constexpr int kColumns = (kHalf ? 64 : 32) / (kChannels > 64 ? 2 : 1);
};

template <class A, int kChannels>
struct ForwardKernel {
  using Tile = SharedTile<A, kChannels>;
  using Patch = WarpPatch<A, ForwardSizes<A, kChannels>::kColumns>;
  static constexpr int kRows = ForwardSizes<A, kChannels>::kRows, kColumns = ForwardSizes<A, kChannels>::kColumns;
  using Warps = RowWarps<kRows, kChannels>;
  static constexpr int kThreads = Warps::kCount * kWarp, kSums = Warps::kSums;
  static constexpr int kStageBytes = 2 * Tile::bytes(kColumns);
  static constexpr int kPatches = Tile::bytes(kRows) + 2 * kStageBytes;  // where they begin
  static constexpr int kBytes = kPatches + Warps::kCount * Patch::kBytes;
  static_assert(kBytes <= 99 * 1024);

  LaunchHeads heads;
  int sweep;
  int first, queries;  // positions of the queries that there are
  std::int64_t H;
  float scale;  // times log2(e): powers are of two
  HeadsView<A> q, k, v;
  Result<A> out;
  float* lse;  // (B, H, queries)

  std::size_t shared_bytes() const { return kBytes; }

  // What a lane keeps of its two rows.
  struct Rows {
    float largest[2] = {-INFINITY, -INFINITY};
    float weights[2] = {0, 0};  // its own columns' share of the sum
    float values[kSums / 8][4] = {};
  };

  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const Walks& walks = heads.walks_of(block.index().y);
    if (sweep >= walks.sweeps() || block.index().x >= walks.query_blocks(sweep, kRows, first, first + queries)) return;
    const Owner owner{block.index().z, heads.head[block.index().y], walks,
                      walks.query_block(sweep, kRows, first, first + queries, block.index().x)};
    if (owner.block.count > 0) attend_block(block, owner);
  }

  // One block of up to kRows queries, by kThreads threads whose shared memory has kBytes.
  template <class Block>
  LONGSTRIDE_DEVICE void attend_block(Block& block, const Owner& owner) const {
    const WalkBlock& own = owner.block;
    char* const memory = block.template shared<char>();
    const Tile own_rows{reinterpret_cast<A*>(memory)};
    const auto tile_of = [&](int stage, int matrix) {
      return Tile{
          reinterpret_cast<A*>(memory + Tile::bytes(kRows) + stage * kStageBytes + matrix * Tile::bytes(kColumns))};
    };
    auto copies = async_copies(block);
    load_rows<kRows>(block, copies, own_rows, q.of(owner.b, owner.h), own.places, first, own.begin, own.count);
    Rows rows;
    walk_tiles(
        block, copies, KeyWalk(owner.walks, sweep, own), kColumns,
        [&](const WalkTile& tile, int stage) {
          load_rows<kColumns>(block, copies, tile_of(stage, 0), k.of(owner.b, owner.h), tile.places, 0, tile.begin,
                              tile.count);
          load_rows<kColumns>(block, copies, tile_of(stage, 1), v.of(owner.b, owner.h), tile.places, 0, tile.begin,
                              tile.count);
        },
        [&](const WalkTile& tile, int stage) {
          attend(block, owner, own_rows, tile, tile_of(stage, 0), tile_of(stage, 1), rows);
        });
    finish(block, owner, rows);
  }

  // Writes what a block's rows have come to; called by all of its threads.
  template <class Block>
  LONGSTRIDE_DEVICE void finish(Block& block, const Owner& owner, const Rows& rows) const {
    const WalkBlock& own = owner.block;
    const bool begun = sweep > 0, last = sweep + 1 == owner.walks.sweeps();
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float weights = row_sum(block, rows.weights[half]);
      const int row = Warps::first_row(block) + block.lane() / 4 + 8 * half;
      const bool there = row < own.count;
      const int i = there ? own.places.at(own.begin + row) - first : 0;
      float* const at = lse + (owner.b * H + owner.h) * queries + i;
      float log = weights == 0 ? -INFINITY : rows.largest[half] + log2(weights);
      float factor = weights == 0 ? 0.0f : 1 / weights, before = 0;
      if (begun && there) {
        const float other = *at * kLog2e, most = max(other, log);
        const bool any = most != -INFINITY;
        const float joined = any ? most + log2(exp2(other - most) + exp2(log - most)) : most;
        before = any ? exp2(other - joined) : 0.0f;
        factor *= any ? exp2(log - joined) : 0.0f;
        log = joined;
      }
      block.sync();  // all have read what one lane writes
      if (there) {
        if (block.lane() % 4 == 0 && Warps::first_sum(block) == 0) *at = log * kLn2;
        store_row<kSums>(out, owner, i, last, rows.values, half, block.lane(), Warps::first_sum(block), factor, begun,
                         before);
      }
    }
  }

 private:
  template <class Block>
  LONGSTRIDE_DEVICE void attend(Block& block, const Owner& owner, const Tile& own_rows, const WalkTile& tile,
                                const Tile& key_rows, const Tile& value_rows, Rows& rows) const {
    float scores[kColumns / 8][4] = {};
    multiply_rows<kColumns>(block, scores, own_rows, Warps::first_row(block), key_rows, q.channels);
    if (!tile.whole) {
      const RowMasks<kColumns> masks(block, keys_of_lane(owner, Warps::first_row(block), block.lane(), tile));
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 0; r < 4; ++r)
          if (!masks.has(block.lane(), t, r)) scores[t][r] = -INFINITY;
      }
      keep_apart(block, masks, value_rows, rows);
    }
    weigh(block, scores, rows);
    float* const patch = block.template shared<float>() + (kPatches + block.warp() * Patch::kBytes) / sizeof(float);
    multiply_columns<kColumns, kSums>(block, rows.values, scores, value_rows, Warps::first_sum(block), v.channels,
                                      patch);
  }

  // Scores become weights, 2^(score - largest); what was summed so far goes down with the largest.
  template <class Block>
  LONGSTRIDE_DEVICE void weigh(Block& block, float (&scores)[kColumns / 8][4], Rows& rows) const {
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      float largest = -INFINITY;
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 2 * half; r < 2 * half + 2; ++r) {
          scores[t][r] *= scale;
          largest = max(largest, scores[t][r]);
        }
      }
      largest = max(rows.largest[half], row_max(block, largest));
      const float base = largest == -INFINITY ? 0.0f : largest;  // no key so far
      const float less = exp2(rows.largest[half] - base);
      float weights = 0;
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 2 * half; r < 2 * half + 2; ++r) {
          scores[t][r] = exp2(scores[t][r] - base);
          weights += scores[t][r];
        }
      }
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kSums / 8; ++t) rows.values[t][2 * half] *= less, rows.values[t][2 * half + 1] *= less;
      rows.weights[half] = rows.weights[half] * less + weights;
      rows.largest[half] = largest;
    }
  }

  // A value that is not finite makes NaN of the queries that read it, and would of all others in the tile: their weight
  // of 0 is NaN by NaN. So readers get their NaN here, and the tile zeros in its place.
  template <class Block>
  LONGSTRIDE_DEVICE void keep_apart(Block& block, const RowMasks<kColumns>& masks, const Tile& values,
                                    Rows& rows) const {
    const int steps = whole_steps(v.channels);
    bool bad = false;
    each_chunk(block, values, steps, [&](A& x) { bad = bad || !is_finite(to_float(x)); });
    if (!block.sync_or(bad)) return;
    for (int key = 0; key < kColumns; ++key) {
      const bool upper = masks.upper_has(key), lower = masks.lower_has(key);
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kSums / 8; ++t) {
        const int channel = Warps::first_sum(block) + t * 8 + block.lane() % 4 * 2;
        if (channel < steps) {
          LONGSTRIDE_UNROLL
          for (int e = 0; e < 2; ++e) {
            const float x = to_float(values.at(key, channel)[e]), nothing = x - x;
            if (upper) rows.values[t][e] += nothing;
            if (lower) rows.values[t][2 + e] += nothing;
          }
        }
      }
    }
    block.sync();
    each_chunk(block, values, steps, [&](A& x) {
      if (!is_finite(to_float(x))) x = from_float<A>(0);
    });
    block.sync();
  }
  // The elements of a tile that are there, shared among the threads.
  template <class Block, class Visit>
  static LONGSTRIDE_DEVICE void each_chunk(Block& block, const Tile& tile, int steps, const Visit& visit) {
    for (int at = block.thread(); at < kColumns * Tile::kChunks; at += kThreads) {
      const int row = at / Tile::kChunks, channel = at % Tile::kChunks * Tile::kChunk;
      if (channel >= steps) continue;
      A* const chunk = tile.at(row, channel);
      LONGSTRIDE_UNROLL
      for (int c = 0; c < Tile::kChunk; ++c) visit(chunk[c]);
    }
  }
};

}  // namespace longstride::cuda
