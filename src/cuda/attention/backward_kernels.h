// Attention backward, without atomics. With P = exp(scale * q k^T - lse) and delta_i = sum_d out * dout:
//   dv = P^T dout;  dS = P * (dout v^T - delta);  dq = scale * dS k;  dk = scale * dS^T q
// One kernel's blocks own queries and walk keys, for dq; another's own keys and walk queries, for dk and dv: what is
// summed is summed by one block in the order of the walk, so that results depend on shapes alone. A third has made
// delta before.
#pragma once

#include <cmath>
#include <cstddef>

#include "cuda/attention/owners.h"

namespace longstride::cuda {

// Rows of a block and columns of a tile: both operands of either, two tiles of columns, within 99 KiB.
template <class A, int kChannels>
struct BackwardSizes {
  static constexpr bool kHalf = sizeof(A) == 2;
  static constexpr int kRows = kHalf ? 64 : 4096 / kChannels;
  static constexpr int kColumns = kHalf ? 4096 / kChannels : kChannels > 64 ? 16 : 32;
};

// delta, a warp a row.
template <class A>
struct DeltaKernel {
  static constexpr int kThreads = 128;
  HeadsView<A> out, dout;
  float* delta;  // (B, H, T)
  std::int64_t H, T;

  std::size_t shared_bytes() const { return 0; }
  // x: rows of a head; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const int i = block.index().x * (kThreads / kWarp) + block.warp();
    if (i >= T) return;
    const A *a = out.of(block.index().z, block.index().y).row(i), *b = dout.of(block.index().z, block.index().y).row(i);
    float sum = 0;
    for (int d = block.lane(); d < out.channels; d += kWarp) sum = fma(to_float(a[d]), to_float(b[d]), sum);
    for (int apart = kWarp / 2; apart > 0; apart /= 2) sum += block.shuffle_xor(sum, apart);
    if (block.lane() == 0) delta[(block.index().z * H + block.index().y) * T + i] = sum;
  }
};

// What both kernels are given, and how their memory is laid out: the owner's rows of two matrices, then two stages of
// the other side's of two matrices, with two numbers a walked row.
template <class A, int kChannels>
struct BackwardParts {
  using Tile = SharedTile<A, kChannels>;
  using Sizes = BackwardSizes<A, kChannels>;
  using Patch = WarpPatch<A, Sizes::kColumns>;
  static constexpr int kRows = Sizes::kRows, kColumns = Sizes::kColumns;
  using Warps = RowWarps<kRows, kChannels>;
  static constexpr int kThreads = Warps::kCount * kWarp, kSums = Warps::kSums;
  static constexpr int kStages = 2 * Tile::bytes(kRows);  // where they begin
  static constexpr int kTileBytes = 2 * Tile::bytes(kColumns);
  static constexpr int kStageBytes = kTileBytes + 2 * kColumns * static_cast<int>(sizeof(float));
  static constexpr int kPatches = kStages + 2 * kStageBytes;
  static constexpr int kBytes = kPatches + Warps::kCount * Patch::kBytes;
  static_assert(kBytes <= 99 * 1024);

  LaunchHeads heads;
  int sweep;  // or the place of a stream of keys
  int T;
  std::int64_t H;
  float scale;
  HeadsView<A> q, k, v, dout;
  const float *lse, *delta;  // (B, H, T)

  // matrix: 0 or 1.
  static LONGSTRIDE_DEVICE Tile own_rows(char* memory, int matrix) {
    return {reinterpret_cast<A*>(memory + matrix * Tile::bytes(kRows))};
  }
  static LONGSTRIDE_DEVICE Tile walked_rows(char* memory, int stage, int matrix) {
    return {reinterpret_cast<A*>(memory + kStages + stage * kStageBytes + matrix * Tile::bytes(kColumns))};
  }
  // (2, kColumns)
  static LONGSTRIDE_DEVICE float* numbers(char* memory, int stage) {
    return reinterpret_cast<float*>(memory + kStages + stage * kStageBytes + kTileBytes);
  }
  static LONGSTRIDE_DEVICE float* patch(char* memory, int warp) {
    return reinterpret_cast<float*>(memory + kPatches + warp * Patch::kBytes);
  }
  LONGSTRIDE_DEVICE std::int64_t row(const Owner& owner, int i) const { return (owner.b * H + owner.h) * T + i; }
};

// dq of what one sweep shows.
template <class A, int kChannels>
struct BackwardQueriesKernel : BackwardParts<A, kChannels> {
  using Parts = BackwardParts<A, kChannels>;
  using Parts::delta, Parts::dout, Parts::lse;
  using Parts::kColumns, Parts::kRows, Parts::heads, Parts::sweep, Parts::T, Parts::scale, Parts::q, Parts::k, Parts::v;
  using Parts::kSums, Parts::kThreads;
  using typename Parts::Tile, typename Parts::Warps;

  Result<A> dq;

  std::size_t shared_bytes() const { return Parts::kBytes; }

  // x: blocks of queries; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const Walks& walks = heads.walks_of(block.index().y);
    if (sweep >= walks.sweeps() || block.index().x >= walks.query_blocks(sweep, kRows, 0, T)) return;
    const Owner owner{block.index().z, heads.head[block.index().y], walks,
                      walks.query_block(sweep, kRows, 0, T, block.index().x)};
    const WalkBlock& own = owner.block;
    if (own.count == 0) return;
    char* const memory = block.template shared<char>();
    auto copies = async_copies(block);
    load_rows<kRows>(block, copies, Parts::own_rows(memory, 0), q.of(owner.b, owner.h), own.places, 0, own.begin,
                     own.count);
    load_rows<kRows>(block, copies, Parts::own_rows(memory, 1), dout.of(owner.b, owner.h), own.places, 0, own.begin,
                     own.count);
    Rows rows;
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = Warps::first_row(block) + block.lane() / 4 + 8 * half;
      rows.i[half] = row < own.count ? own.places.at(own.begin + row) : -1;
      rows.log[half] = rows.i[half] < 0 ? 0.0f : lse[Parts::row(owner, rows.i[half])] * kLog2e;
      rows.delta[half] = rows.i[half] < 0 ? 0.0f : delta[Parts::row(owner, rows.i[half])];
    }
    walk_tiles(
        block, copies, KeyWalk(walks, sweep, own), kColumns,
        [&](const WalkTile& tile, int stage) {
          load_rows<kColumns>(block, copies, Parts::walked_rows(memory, stage, 0), k.of(owner.b, owner.h), tile.places,
                              0, tile.begin, tile.count);
          load_rows<kColumns>(block, copies, Parts::walked_rows(memory, stage, 1), v.of(owner.b, owner.h), tile.places,
                              0, tile.begin, tile.count);
        },
        [&](const WalkTile& tile, int stage) { attend(block, owner, tile, memory, stage, rows); });
    const bool last = sweep + 1 == walks.sweeps();
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half)
      if (rows.i[half] >= 0)
        store_row<kSums>(dq, owner, rows.i[half], last, rows.dq, half, block.lane(), Warps::first_sum(block), scale,
                         sweep > 0, 1);
  }

 private:
  struct Rows {
    int i[2];      // positions of the lane's rows; -1: there is none
    float log[2];  // lse, of two
    float delta[2];
    float dq[kSums / 8][4] = {};
  };

  template <class Block>
  LONGSTRIDE_DEVICE void attend(Block& block, const Owner& owner, const WalkTile& tile, char* memory, int stage,
                                Rows& rows) const {
    const Tile key_rows = Parts::walked_rows(memory, stage, 0), value_rows = Parts::walked_rows(memory, stage, 1);
    const int first = Warps::first_row(block);
    float scores[kColumns / 8][4] = {}, dp[kColumns / 8][4] = {};
    multiply_rows<kColumns>(block, scores, Parts::own_rows(memory, 0), first, key_rows, q.channels);
    multiply_rows<kColumns>(block, dp, Parts::own_rows(memory, 1), first, value_rows, v.channels);
    const RowMasks<kColumns> masks(block,
                                   tile.whole ? ~std::uint32_t{0} : keys_of_lane(owner, first, block.lane(), tile));
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kColumns / 8; ++t) {
      LONGSTRIDE_UNROLL
      for (int r = 0; r < 4; ++r) {
        const float p = exp2(scores[t][r] * (scale * kLog2e) - rows.log[r / 2]);
        scores[t][r] = masks.has(block.lane(), t, r) ? p * (dp[t][r] - rows.delta[r / 2]) : 0.0f;
      }
    }
    multiply_columns<kColumns, kSums>(block, rows.dq, scores, key_rows, Warps::first_sum(block), q.channels,
                                      Parts::patch(memory, block.warp()));
  }
};

// dk and dv of what one stream shows.
template <class A, int kChannels>
struct BackwardKeysKernel : BackwardParts<A, kChannels> {
  using Parts = BackwardParts<A, kChannels>;
  using Parts::delta, Parts::dout, Parts::lse;
  using Parts::kColumns, Parts::kRows, Parts::heads, Parts::sweep, Parts::T, Parts::scale, Parts::q, Parts::k, Parts::v;
  using Parts::kSums, Parts::kThreads;
  using typename Parts::Tile, typename Parts::Warps;

  Result<A> dk, dv;

  std::size_t shared_bytes() const { return Parts::kBytes; }

  // x: blocks of keys; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const Walks& walks = heads.walks_of(block.index().y);
    if (sweep >= walks.streams()) return;
    const int stream = walks.key_stream(sweep);
    if (block.index().x >= walks.key_blocks(stream, kRows)) return;
    const Owner owner{block.index().z, heads.head[block.index().y], walks,
                      walks.key_block(stream, kRows, block.index().x)};
    const WalkBlock& own = owner.block;
    if (own.count == 0) return;
    char* const memory = block.template shared<char>();
    auto copies = async_copies(block);
    load_rows<kRows>(block, copies, Parts::own_rows(memory, 0), k.of(owner.b, owner.h), own.places, 0, own.begin,
                     own.count);
    load_rows<kRows>(block, copies, Parts::own_rows(memory, 1), v.of(owner.b, owner.h), own.places, 0, own.begin,
                     own.count);
    Rows rows;
    walk_tiles(
        block, copies, QueryWalk(walks, stream, own), kColumns,
        [&](const WalkTile& tile, int stage) {
          load_rows<kColumns>(block, copies, Parts::walked_rows(memory, stage, 0), q.of(owner.b, owner.h), tile.places,
                              0, tile.begin, tile.count);
          load_rows<kColumns>(block, copies, Parts::walked_rows(memory, stage, 1), dout.of(owner.b, owner.h),
                              tile.places, 0, tile.begin, tile.count);
          load_numbers(block, owner, tile, Parts::numbers(memory, stage));
        },
        [&](const WalkTile& tile, int stage) { attend(block, owner, tile, memory, stage, rows); });
    const bool last = sweep + 1 == walks.streams();
    const int from = Warps::first_sum(block);
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = Warps::first_row(block) + block.lane() / 4 + 8 * half;
      if (row < own.count) {
        const int j = own.places.at(own.begin + row);
        const bool begun = walks.begun_before(sweep, j);
        store_row<kSums>(dk, owner, j, last, rows.dk, half, block.lane(), from, scale, begun, 1);
        store_row<kSums>(dv, owner, j, last, rows.dv, half, block.lane(), from, 1, begun, 1);
      }
    }
  }

 private:
  struct Rows {
    float dk[kSums / 8][4] = {}, dv[kSums / 8][4] = {};
  };

  // (2, kColumns): lse, of two, and delta of the tile's queries.
  template <class Block>
  LONGSTRIDE_DEVICE void load_numbers(Block& block, const Owner& owner, const WalkTile& tile, float* numbers) const {
    const int u = block.thread();
    if (u >= kColumns) return;
    const bool there = u < tile.count;
    const std::int64_t row = there ? Parts::row(owner, tile.places.at(tile.begin + u)) : 0;
    numbers[u] = there ? lse[row] * kLog2e : 0.0f;
    numbers[kColumns + u] = there ? delta[row] : 0.0f;
  }

  template <class Block>
  LONGSTRIDE_DEVICE void attend(Block& block, const Owner& owner, const WalkTile& tile, char* memory, int stage,
                                Rows& rows) const {
    const Tile query_rows = Parts::walked_rows(memory, stage, 0), dout_rows = Parts::walked_rows(memory, stage, 1);
    const float* const logs = Parts::numbers(memory, stage);
    const float* const deltas = logs + kColumns;
    const int first = Warps::first_row(block);
    float p[kColumns / 8][4] = {}, ds[kColumns / 8][4] = {};
    multiply_rows<kColumns>(block, p, Parts::own_rows(memory, 0), first, query_rows, q.channels);
    multiply_rows<kColumns>(block, ds, Parts::own_rows(memory, 1), first, dout_rows, v.channels);
    const RowMasks<kColumns> masks(block,
                                   tile.whole ? ~std::uint32_t{0} : queries_of_lane(owner, first, block.lane(), tile));
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kColumns / 8; ++t) {
      LONGSTRIDE_UNROLL
      for (int r = 0; r < 4; ++r) {
        const int column = t * 8 + block.lane() % 4 * 2 + r % 2;
        const bool reads = masks.has(block.lane(), t, r);
        p[t][r] = reads ? exp2(p[t][r] * (scale * kLog2e) - logs[column]) : 0.0f;
        ds[t][r] = reads ? p[t][r] * (ds[t][r] - deltas[column]) : 0.0f;
      }
    }
    float* const patch = Parts::patch(memory, block.warp());
    const int from = Warps::first_sum(block);
    multiply_columns<kColumns, kSums>(block, rows.dv, p, dout_rows, from, v.channels, patch);
    multiply_columns<kColumns, kSums>(block, rows.dk, ds, query_rows, from, q.channels, patch);
  }
};

}  // namespace longstride::cuda
