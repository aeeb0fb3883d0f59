// Attention backward on Hopper, for bfloat16 and heads of up to 64 or 128 channels: formulas, sweeps, masks and results
// of the portable kernels (cuda/attention/backward_kernels.h), by other means. A block of threads owns 128 queries, for
// dq, or 128 keys, for dk and dv. One warp, the producer, walks tiles of 64 of the other side and has the copy engine
// bring their two matrices into stages of shared memory; two warpgroups, the consumers, have 64 of the owner's rows
// each. What one product leaves is the left operand of the next without leaving the registers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cuda/attention/backward_kernels.h"
#include "cuda/hopper/async_unit.h"
#include "cuda/hopper/ring.h"
#include "cuda/hopper/tile_products.h"
#include "cuda/hopper/warpgroup.h"

namespace longstride::cuda {

// How the memory of a block of either kernel is laid out, and how it is filled.
template <int kChannels>
struct HopperBackwardParts {
  static_assert(kChannels == 64 || kChannels == 128);
  static constexpr int kConsumers = 2, kRows = 64, kColumns = 64;  // rows of a consumer, of a tile
  static constexpr int kBlockRows = kConsumers * kRows;
  static constexpr int kStages = 4;
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
  // Of 65,536 registers, a thread of the producer and one of a consumer.
  static constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;
  static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kWarpgroup <= 65536);
  using Tile = SwizzledTile<kRows, kChannels>;
  static_assert(kRows == kColumns && Tile::kBytes % kSwizzleBytes == 0);

  struct Shared {
    Barrier own[kConsumers], full[kStages], empty[kStages];
    WalkTile tiles[kStages];              // count 0: there is none, and none comes
    float numbers[kStages][2][kColumns];  // of a walked row: lse, of two, and delta
  };
  static constexpr int kStagesBegin = kConsumers * 2 * Tile::kBytes;
  static constexpr int kSharedBegin = kStagesBegin + kStages * 2 * Tile::kBytes;
  static constexpr int kBytes = kSharedBegin + static_cast<int>(sizeof(Shared));
  static_assert(kBytes <= 227 * 1024);
  static constexpr int kBarrierOfFirst = 1;

  // Where a tile begins; matrix: 0 or 1.
  static constexpr int own_tile(int consumer, int matrix) { return (consumer * 2 + matrix) * Tile::kBytes; }
  static constexpr int walked_tile(int stage, int matrix) { return kStagesBegin + (stage * 2 + matrix) * Tile::kBytes; }
  // The rows of a consumer.
  static LONGSTRIDE_DEVICE WalkBlock block_of(const WalkBlock& all, int consumer) {
    return {all.places, all.begin + consumer * kRows, min(kRows, max(0, all.count - consumer * kRows))};
  }

  // Of one side, its two matrices.
  struct Maps {
    HeadsMap first, second;
  };

  // One block: bring(lane, tile) takes what the producer's lane knows of a tile, put(stage) leaves it in shared memory;
  // consume(unit, group, shared, consumer, own) is what a consumer does that has rows.
  template <class Block, class Walk, class Numbers, class Consume>
  static LONGSTRIDE_DEVICE void run(Block& block, const Owner& owner, const Maps& own, const Maps& walked, Walk walk,
                                    Numbers numbers, const Consume& consume) {
    auto unit = async_unit(block);
    char* const memory = block.template shared<char>();
    auto& shared = *reinterpret_cast<Shared*>(memory + kSharedBegin);
    if (block.thread() == 0) {
      for (int c = 0; c < kConsumers; ++c) unit.begin(shared.own[c], 2);
      for (int s = 0; s < kStages; ++s) {
        unit.begin(shared.full[s], 2);  // one a matrix
        unit.begin(shared.empty[s], kConsumers * kWarpgroup / kWarp);
      }
      unit.show_barriers();
    }
    block.sync();
    if (block.warp() < kWarpgroup / kWarp) {
      unit.template give_registers<kProducerRegisters>();
      if (block.warp() == 0) produce(block, unit, owner, own, walked, walk, numbers, memory, shared);
      return;
    }
    unit.template take_registers<kConsumerRegisters>();
    const int consumer = block.warp() / (kWarpgroup / kWarp) - 1;
    const Owner mine{owner.b, owner.h, owner.walks, block_of(owner.block, consumer)};
    if (mine.block.count == 0) return watch(block, unit, shared);
    WarpgroupBlock group(block, unit, kBarrierOfFirst + consumer, 0);
    unit.wait(shared.own[consumer], 0);
    consume(unit, group, shared, unit.address(memory), consumer, mine);
  }

  template <class Block, class Unit, class Walk, class Numbers>
  static LONGSTRIDE_DEVICE void produce(Block& block, Unit& unit, const Owner& owner, const Maps& own,
                                        const Maps& walked, Walk& walk, Numbers& numbers, char* memory,
                                        Shared& shared) {
    const auto bring_both = [&](const Maps& maps, const WalkBlock& rows, char* first, Barrier& barrier) {
      bring<kRows, kChannels>(block, unit, maps.first, owner, rows.places, 0, rows.begin, rows.count, first, barrier);
      bring<kRows, kChannels>(block, unit, maps.second, owner, rows.places, 0, rows.begin, rows.count,
                              first + Tile::kBytes, barrier);
    };
    for (int c = 0; c < kConsumers; ++c) {
      const WalkBlock rows = block_of(owner.block, c);
      if (rows.count > 0) bring_both(own, rows, memory + own_tile(c, 0), shared.own[c]);
    }
    WalkTile tile;
    for (RingPlace<kStages> at;; at.advance()) {
      const bool there = walk.next(tile, kColumns);
      if (!there) tile.count = 0;
      numbers.take(block.lane(), tile);
      unit.wait(shared.empty[at.stage], at.parity ^ 1);
      if (block.lane() == 0) shared.tiles[at.stage] = tile;
      numbers.put(block.lane(), shared.numbers[at.stage]);
      block.sync_warp();
      if (!there) {
        if (block.lane() < 2) unit.arrive(shared.full[at.stage]);
        return;
      }
      bring_both(walked, {tile.places, tile.begin, tile.count}, memory + walked_tile(at.stage, 0),
                 shared.full[at.stage]);
    }
  }

  // A consumer without rows lets stages pass.
  template <class Block, class Unit>
  static LONGSTRIDE_DEVICE void watch(Block& block, Unit& unit, Shared& shared) {
    for (RingPlace<kStages> at;; at.advance()) {
      unit.wait(shared.full[at.stage], at.parity);
      if (shared.tiles[at.stage].count == 0) return;
      leave(block, unit, shared, at);
    }
  }
  // A warp needs a stage no longer.
  template <class Block, class Unit>
  static LONGSTRIDE_DEVICE void leave(Block& block, Unit& unit, Shared& shared, const RingPlace<kStages>& at) {
    block.sync_warp();
    if (block.lane() == 0) unit.arrive(shared.empty[at.stage]);
  }
};

// dq of what one sweep shows.
template <int kChannels>
struct HopperBackwardQueriesKernel {
  using Parts = HopperBackwardParts<kChannels>;
  using Portable = BackwardQueriesKernel<bf16, kChannels>;
  using Tile = typename Parts::Tile;
  static constexpr int kThreads = Parts::kThreads, kBlockRows = Parts::kBlockRows, kColumns = Parts::kColumns;

  Portable portable;
  typename Parts::Maps own, walked;  // q and dout, k and v

  std::size_t shared_bytes() const { return Parts::kBytes; }

  // x: blocks of queries; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    if constexpr (LONGSTRIDE_HAS_ASYNC_UNIT) {
      const Walks& walks = portable.heads.walks_of(block.index().y);
      const int sweep = portable.sweep;
      if (sweep >= walks.sweeps() || block.index().x >= walks.query_blocks(sweep, kBlockRows, 0, portable.T)) return;
      const Owner owner{block.index().z, portable.heads.head[block.index().y], walks,
                        walks.query_block(sweep, kBlockRows, 0, portable.T, block.index().x)};
      if (owner.block.count == 0) return;
      Parts::run(block, owner, own, walked, KeyWalk(walks, sweep, owner.block), NoNumbers(),
                 [&](auto& unit, auto& group, auto& shared, std::uint32_t memory, int consumer, const Owner& mine) {
                   consume(unit, group, shared, memory, consumer, mine);
                 });
    }
  }

 private:
  struct NoNumbers {
    LONGSTRIDE_DEVICE void take(int, const WalkTile&) {}
    LONGSTRIDE_DEVICE void put(int, float (&)[2][kColumns]) {}
  };
  struct Rows {
    int i[2];      // positions of the lane's rows; -1: there is none
    float log[2];  // lse, of two
    float delta[2];
    float dq[kChannels / 8][4] = {};
  };

  template <class Unit, class Group>
  LONGSTRIDE_DEVICE void consume(Unit& unit, Group& group, typename Parts::Shared& shared, std::uint32_t memory,
                                 int consumer, const Owner& mine) const {
    Rows rows;
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = group.warp() * kWarpRows + group.lane() / 4 + 8 * half;
      rows.i[half] = row < mine.block.count ? mine.block.places.at(mine.block.begin + row) : -1;
      rows.log[half] = rows.i[half] < 0 ? 0.0f : portable.lse[portable.row(mine, rows.i[half])] * kLog2e;
      rows.delta[half] = rows.i[half] < 0 ? 0.0f : portable.delta[portable.row(mine, rows.i[half])];
    }
    attend(unit, group, shared, memory, memory + Parts::own_tile(consumer, 0), mine, rows);
    const bool last = portable.sweep + 1 == mine.walks.sweeps();
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half)
      if (rows.i[half] >= 0)
        store_row<kChannels>(portable.dq, mine, rows.i[half], last, rows.dq, half, group.lane(), 0, portable.scale,
                             portable.sweep > 0, 1);
  }

  // own: where q's rows begin; dout's follow.
  template <class Unit, class Group>
  LONGSTRIDE_DEVICE void attend(Unit& unit, Group& group, typename Parts::Shared& shared, std::uint32_t memory,
                                std::uint32_t own_rows, const Owner& mine, Rows& rows) const {
    float scores[kColumns / 8][4], dp[kColumns / 8][4];
    std::uint32_t ds[kColumns / 16][4];
    const auto ask = [&](int stage) {
      const std::uint32_t keys = memory + Parts::walked_tile(stage, 0);
      unit.begin_products();
      ask_for_rows<Tile, Tile>(unit, scores, own_rows, keys);
      ask_for_rows<Tile, Tile>(unit, dp, own_rows + Tile::kBytes, keys + Tile::kBytes);
      unit.commit_products();
    };
    const auto add = [&](int stage) {
      unit.begin_products();
      ask_for_columns<Tile>(unit, rows.dq, ds, memory + Parts::walked_tile(stage, 0));
      unit.commit_products();
    };
    RingPlace<Parts::kStages> at;
    unit.wait(shared.full[at.stage], at.parity);
    WalkTile tile = shared.tiles[at.stage];
    if (tile.count == 0) return;
    ask(at.stage);
    unit.template wait_for_products<0>(scores);
    unit.template wait_for_products<0>(dp);
    differentiate(group, mine, tile, scores, dp, rows);
    pack_left(scores, ds);
    while (true) {
      RingPlace<Parts::kStages> next = at;
      next.advance();
      unit.wait(shared.full[next.stage], next.parity);
      tile = shared.tiles[next.stage];
      if (tile.count == 0) break;
      ask(next.stage);
      add(at.stage);
      unit.template wait_for_products<1>(scores);
      unit.template wait_for_products<1>(dp);
      differentiate(group, mine, tile, scores, dp, rows);
      unit.template wait_for_products<0>(rows.dq);
      Parts::leave(group, unit, shared, at);
      pack_left(scores, ds);
      at = next;
    }
    add(at.stage);
    unit.template wait_for_products<0>(rows.dq);
  }

  // Scores become dS.
  template <class Group>
  LONGSTRIDE_DEVICE void differentiate(Group& group, const Owner& mine, const WalkTile& tile,
                                       float (&scores)[kColumns / 8][4], const float (&dp)[kColumns / 8][4],
                                       const Rows& rows) const {
    const RowMasks<kColumns> masks(
        group, tile.whole ? ~std::uint32_t{0} : keys_of_lane(mine, group.warp() * kWarpRows, group.lane(), tile));
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kColumns / 8; ++t) {
      LONGSTRIDE_UNROLL
      for (int r = 0; r < 4; ++r) {
        const float p = exp2_or_zero(scores[t][r] * (portable.scale * kLog2e) - rows.log[r / 2]);
        scores[t][r] = masks.has(group.lane(), t, r) ? p * (dp[t][r] - rows.delta[r / 2]) : 0.0f;
      }
    }
  }
};

// dk and dv of what one stream shows.
template <int kChannels>
struct HopperBackwardKeysKernel {
  using Parts = HopperBackwardParts<kChannels>;
  using Portable = BackwardKeysKernel<bf16, kChannels>;
  using Tile = typename Parts::Tile;
  static constexpr int kThreads = Parts::kThreads, kBlockRows = Parts::kBlockRows, kColumns = Parts::kColumns;

  Portable portable;
  typename Parts::Maps own, walked;  // k and v, q and dout

  std::size_t shared_bytes() const { return Parts::kBytes; }

  // x: blocks of keys; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    if constexpr (LONGSTRIDE_HAS_ASYNC_UNIT) {
      const Walks& walks = portable.heads.walks_of(block.index().y);
      if (portable.sweep >= walks.streams()) return;
      const int stream = walks.key_stream(portable.sweep);
      if (block.index().x >= walks.key_blocks(stream, kBlockRows)) return;
      const Owner owner{block.index().z, portable.heads.head[block.index().y], walks,
                        walks.key_block(stream, kBlockRows, block.index().x)};
      if (owner.block.count == 0) return;
      Parts::run(block, owner, own, walked, QueryWalk(walks, stream, owner.block), Numbers{*this, owner},
                 [&](auto& unit, auto& group, auto& shared, std::uint32_t memory, int consumer, const Owner& mine) {
                   consume(unit, group, shared, memory, consumer, mine);
                 });
    }
  }

 private:
  // lse, of two, and delta of a tile's queries: a lane takes those of two, and puts them when there is a stage.
  struct Numbers {
    const HopperBackwardKeysKernel& kernel;
    const Owner& owner;
    float log[2] = {}, delta[2] = {};
    LONGSTRIDE_DEVICE void take(int lane, const WalkTile& tile) {
      LONGSTRIDE_UNROLL
      for (int n = 0; n < 2; ++n) {
        const int u = lane + n * kWarp;
        const bool there = u < tile.count;
        const std::int64_t row = there ? kernel.portable.row(owner, tile.places.at(tile.begin + u)) : 0;
        log[n] = there ? kernel.portable.lse[row] * kLog2e : 0.0f;
        delta[n] = there ? kernel.portable.delta[row] : 0.0f;
      }
    }
    LONGSTRIDE_DEVICE void put(int lane, float (&to)[2][kColumns]) {
      static_assert(kColumns == 2 * kWarp);
      LONGSTRIDE_UNROLL
      for (int n = 0; n < 2; ++n) to[0][lane + n * kWarp] = log[n], to[1][lane + n * kWarp] = delta[n];
    }
  };
  struct Rows {
    float dk[kChannels / 8][4] = {}, dv[kChannels / 8][4] = {};
  };

  template <class Unit, class Group>
  LONGSTRIDE_DEVICE void consume(Unit& unit, Group& group, typename Parts::Shared& shared, std::uint32_t memory,
                                 int consumer, const Owner& mine) const {
    Rows rows;
    for (RingPlace<Parts::kStages> at;; at.advance()) {
      unit.wait(shared.full[at.stage], at.parity);
      const WalkTile tile = shared.tiles[at.stage];
      if (tile.count == 0) break;
      attend(unit, group, shared.numbers[at.stage], memory + Parts::own_tile(consumer, 0),
             memory + Parts::walked_tile(at.stage, 0), mine, tile, rows);
      Parts::leave(group, unit, shared, at);
    }
    const bool last = portable.sweep + 1 == mine.walks.streams();
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = group.warp() * kWarpRows + group.lane() / 4 + 8 * half;
      if (row < mine.block.count) {
        const int j = mine.block.places.at(mine.block.begin + row);
        const bool begun = mine.walks.begun_before(portable.sweep, j);
        store_row<kChannels>(portable.dk, mine, j, last, rows.dk, half, group.lane(), 0, portable.scale, begun, 1);
        store_row<kChannels>(portable.dv, mine, j, last, rows.dv, half, group.lane(), 0, 1, begun, 1);
      }
    }
  }

  // own: where k's rows begin, then v's; queries: where q's rows begin, then dout's.
  template <class Unit, class Group>
  LONGSTRIDE_DEVICE void attend(Unit& unit, Group& group, const float (&numbers)[2][kColumns], std::uint32_t own_rows,
                                std::uint32_t queries, const Owner& mine, const WalkTile& tile, Rows& rows) const {
    float p[kColumns / 8][4], ds[kColumns / 8][4];
    std::uint32_t left_of_dv[kColumns / 16][4], left_of_dk[kColumns / 16][4];
    // Before there are scores: registers are scarce then.
    const RowMasks<kColumns> masks(
        group, tile.whole ? ~std::uint32_t{0} : queries_of_lane(mine, group.warp() * kWarpRows, group.lane(), tile));
    unit.begin_products();
    ask_for_rows<Tile, Tile>(unit, p, own_rows, queries);
    ask_for_rows<Tile, Tile>(unit, ds, own_rows + Tile::kBytes, queries + Tile::kBytes);
    unit.commit_products();
    unit.template wait_for_products<0>(p);
    unit.template wait_for_products<0>(ds);
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kColumns / 8; ++t) {
      LONGSTRIDE_UNROLL
      for (int r = 0; r < 4; ++r) {
        const int column = t * 8 + group.lane() % 4 * 2 + r % 2;
        const bool reads = masks.has(group.lane(), t, r);
        p[t][r] = reads ? exp2_or_zero(p[t][r] * (portable.scale * kLog2e) - numbers[0][column]) : 0.0f;
        ds[t][r] = reads ? p[t][r] * (ds[t][r] - numbers[1][column]) : 0.0f;
      }
    }
    pack_left(p, left_of_dv);
    pack_left(ds, left_of_dk);
    unit.begin_products();
    ask_for_columns<Tile>(unit, rows.dv, left_of_dv, queries + Tile::kBytes);
    ask_for_columns<Tile>(unit, rows.dk, left_of_dk, queries);
    unit.commit_products();
    unit.template wait_for_products<0>(rows.dv);
    unit.template wait_for_products<0>(rows.dk);
  }
};

}  // namespace longstride::cuda
