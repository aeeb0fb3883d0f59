// Attention forward on Hopper, for bfloat16 and heads of up to 64 or 128 channels: the sweeps, masks and results of
// ForwardKernel (cuda/attention/forward_kernel.h), by other means. A block of threads owns up to 128 queries. One warp,
// the producer, walks the tiles of keys and has the copy engine bring keys and values into stages of shared memory; two
// warpgroups, the consumers, have 64 queries each: scores of the next tile are the tensor cores' work while the values
// of the tile before are added, and the exponentials of one consumer go beside the products of the other.
//
// Nothing is kept apart here: a query whose sums are not finite has met a number that is not, its own or of a key that
// it does not read and whose weight of 0 made NaN of it. Its warpgroup then computes its 64 queries once more by the
// text of ForwardKernel, which knows which of them read the number.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cuda/attention/forward_kernel.h"
#include "cuda/hopper/async_unit.h"
#include "cuda/hopper/ring.h"
#include "cuda/hopper/tile_products.h"
#include "cuda/hopper/warpgroup.h"

namespace longstride::cuda {

template <int kChannels>
struct HopperForwardKernel {
  static_assert(kChannels == 64 || kChannels == 128);
  using Portable = ForwardKernel<bf16, kChannels>;
  static constexpr int kConsumers = 2, kRows = 64, kColumns = 128;  // queries of a consumer, keys of a tile
  static constexpr int kBlockRows = kConsumers * kRows;
  static constexpr int kStages = kChannels == 64 ? 4 : 2;
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
  // Of 65,536 registers, a thread of the producer and one of a consumer.
  static constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;
  static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kWarpgroup <= 65536);
  using Queries = SwizzledTile<kRows, kChannels>;
  using Keys = SwizzledTile<kColumns, kChannels>;
  // Numbers of barriers: one a consumer, then that of all consumers.
  static constexpr int kBarrierOfFirst = 1, kBarrierOfAll = kBarrierOfFirst + kConsumers;

  // What barriers and tiles lie in, after the tiles of numbers.
  struct Shared {
    Barrier queries[kConsumers], keys[kStages], values[kStages], empty[kStages];
    WalkTile tiles[kStages];  // count 0: there is none, and none comes
  };
  static constexpr int kStageBytes = 2 * Keys::kBytes;  // keys, then values
  static constexpr int kStagesBegin = kConsumers * Queries::kBytes;
  static constexpr int kSharedBegin = kStagesBegin + kStages * kStageBytes;
  static constexpr int kBytes = kSharedBegin + static_cast<int>(sizeof(Shared));
  static_assert(kBytes <= 227 * 1024);
  static_assert(Queries::kBytes % kSwizzleBytes == 0 && Keys::kBytes % kSwizzleBytes == 0);
  static_assert(kConsumers * Portable::kBytes <= kSharedBegin && Portable::kBytes % 128 == 0);
  static_assert(Portable::kThreads == kWarpgroup && Portable::kRows == kRows && Portable::kSums == kChannels);

  Portable portable;
  HeadsMap q, k, v;

  std::size_t shared_bytes() const { return kBytes; }

  // x: blocks of queries; y: heads; z: sequences
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    if constexpr (LONGSTRIDE_HAS_ASYNC_UNIT) attend_block(block);
  }

 private:
  using Rows = typename Portable::Rows;

  template <class Block>
  LONGSTRIDE_DEVICE void attend_block(Block& block) const {
    const int sweep = portable.sweep, first = portable.first, end = first + portable.queries;
    const Walks& walks = portable.heads.walks_of(block.index().y);
    if (sweep >= walks.sweeps() || block.index().x >= walks.query_blocks(sweep, kBlockRows, first, end)) return;
    const Owner owner{block.index().z, portable.heads.head[block.index().y], walks,
                      walks.query_block(sweep, kBlockRows, first, end, block.index().x)};
    if (owner.block.count == 0) return;
    auto unit = async_unit(block);
    char* const memory = block.template shared<char>();
    auto& shared = *reinterpret_cast<Shared*>(memory + kSharedBegin);
    if (block.thread() == 0) {
      for (int c = 0; c < kConsumers; ++c) unit.begin(shared.queries[c], 1);
      for (int s = 0; s < kStages; ++s) {
        unit.begin(shared.keys[s], 1);
        unit.begin(shared.values[s], 1);
        unit.begin(shared.empty[s], kConsumers * kWarpgroup / kWarp);
      }
      unit.show_barriers();
    }
    block.sync();
    if (block.warp() < kWarpgroup / kWarp) {
      unit.template give_registers<kProducerRegisters>();
      if (block.warp() == 0) produce(block, unit, owner, memory, shared);
    } else {
      unit.template take_registers<kConsumerRegisters>();
      consume(block, unit, owner, memory, shared);
    }
  }

  // The queries of a consumer.
  static LONGSTRIDE_DEVICE WalkBlock block_of(const WalkBlock& all, int consumer) {
    return {all.places, all.begin + consumer * kRows, min(kRows, max(0, all.count - consumer * kRows))};
  }
  static LONGSTRIDE_DEVICE char* queries_of(char* memory, int consumer) { return memory + consumer * Queries::kBytes; }
  static LONGSTRIDE_DEVICE char* keys_of(char* memory, int stage) {
    return memory + kStagesBegin + stage * kStageBytes;
  }
  static LONGSTRIDE_DEVICE char* values_of(char* memory, int stage) { return keys_of(memory, stage) + Keys::kBytes; }

  // One warp brings queries, then tile after tile.
  template <class Block, class Unit>
  LONGSTRIDE_DEVICE void produce(Block& block, Unit& unit, const Owner& owner, char* memory, Shared& shared) const {
    for (int c = 0; c < kConsumers; ++c) {
      const WalkBlock own = block_of(owner.block, c);
      if (own.count == 0) break;
      bring<kRows, kChannels>(block, unit, q, owner, own.places, portable.first, own.begin, own.count,
                              queries_of(memory, c), shared.queries[c]);
    }
    KeyWalk walk(owner.walks, portable.sweep, owner.block);
    WalkTile tile;
    for (RingPlace<kStages> at;; at.advance()) {
      const bool there = walk.next(tile, kColumns);
      unit.wait(shared.empty[at.stage], at.parity ^ 1);
      if (!there) tile.count = 0;
      if (block.lane() == 0) shared.tiles[at.stage] = tile;
      if (!there) {
        if (block.lane() == 0) unit.arrive(shared.keys[at.stage]);
        return;
      }
      bring<kColumns, kChannels>(block, unit, k, owner, tile.places, 0, tile.begin, tile.count,
                                 keys_of(memory, at.stage), shared.keys[at.stage]);
      bring<kColumns, kChannels>(block, unit, v, owner, tile.places, 0, tile.begin, tile.count,
                                 values_of(memory, at.stage), shared.values[at.stage]);
    }
  }

  template <class Block, class Unit>
  LONGSTRIDE_DEVICE void consume(Block& block, Unit& unit, const Owner& owner, char* memory, Shared& shared) const {
    const int consumer = block.warp() / (kWarpgroup / kWarp) - 1;
    WarpgroupBlock<Block, Unit> group(block, unit, kBarrierOfFirst + consumer,
                                      static_cast<std::size_t>(consumer) * Portable::kBytes);
    const Owner own{owner.b, owner.h, owner.walks, block_of(owner.block, consumer)};
    Rows rows;
    if (own.block.count > 0)
      attend(group, unit, own, memory, consumer, shared, rows);
    else
      watch(block, unit, shared);
    float nothing = 0;  // NaN where a number is not finite
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) nothing += rows.weights[half] - rows.weights[half];
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kChannels / 8; ++t) {
      LONGSTRIDE_UNROLL
      for (int r = 0; r < 4; ++r) nothing += rows.values[t][r] - rows.values[t][r];
    }
    unit.sync(kBarrierOfAll, kConsumers * kWarpgroup);  // the stages are free
    if (own.block.count == 0) return;
    if (group.sync_or(!is_finite(nothing)))
      portable.attend_block(group, own);
    else
      portable.finish(group, own, rows);
  }

  // A consumer without queries lets stages pass.
  template <class Block, class Unit>
  static LONGSTRIDE_DEVICE void watch(Block& block, Unit& unit, Shared& shared) {
    for (RingPlace<kStages> at;; at.advance()) {
      unit.wait(shared.keys[at.stage], at.parity);
      if (shared.tiles[at.stage].count == 0) return;
      unit.wait(shared.values[at.stage], at.parity);
      leave(block, unit, shared, at);
    }
  }
  // A warp needs a stage no longer.
  template <class Block, class Unit>
  static LONGSTRIDE_DEVICE void leave(Block& block, Unit& unit, Shared& shared, const RingPlace<kStages>& at) {
    block.sync_warp();
    if (block.lane() == 0) unit.arrive(shared.empty[at.stage]);
  }

  template <class Group, class Unit>
  LONGSTRIDE_DEVICE void attend(Group& group, Unit& unit, const Owner& own, char* memory, int consumer, Shared& shared,
                                Rows& rows) const {
    float scores[kColumns / 8][4], less[2];
    std::uint32_t weights[kColumns / 16][4];
    RingPlace<kStages> at;
    unit.wait(shared.queries[consumer], 0);
    unit.wait(shared.keys[at.stage], at.parity);
    WalkTile tile = shared.tiles[at.stage];
    if (tile.count == 0) return;
    const std::uint32_t queries = unit.address(queries_of(memory, consumer));
    const std::uint32_t stages = unit.address(keys_of(memory, 0));
    unit.begin_products();
    ask_for_rows<Queries, Keys>(unit, scores, queries, stages + at.stage * kStageBytes);
    unit.commit_products();
    unit.template wait_for_products<0>(scores);
    hide(group, own, tile, scores);
    weigh(group, scores, rows, less);
    pack_left(scores, weights);
    while (true) {
      RingPlace<kStages> next = at;
      next.advance();
      unit.wait(shared.keys[next.stage], next.parity);
      tile = shared.tiles[next.stage];
      if (tile.count == 0) break;
      unit.wait(shared.values[at.stage], at.parity);
      unit.begin_products();
      ask_for_rows<Queries, Keys>(unit, scores, queries, stages + next.stage * kStageBytes);
      unit.commit_products();
      unit.begin_products();
      ask_for_columns<Keys>(unit, rows.values, weights, stages + at.stage * kStageBytes + Keys::kBytes);
      unit.commit_products();
      unit.template wait_for_products<1>(scores);
      hide(group, own, tile, scores);
      weigh(group, scores, rows, less);
      unit.template wait_for_products<0>(rows.values);
      leave(group, unit, shared, at);
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kChannels / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 0; r < 4; ++r) rows.values[t][r] *= less[r / 2];
      }
      pack_left(scores, weights);
      at = next;
    }
    unit.wait(shared.values[at.stage], at.parity);
    unit.begin_products();
    ask_for_columns<Keys>(unit, rows.values, weights, stages + at.stage * kStageBytes + Keys::kBytes);
    unit.commit_products();
    unit.template wait_for_products<0>(rows.values);
  }

  // Scores of pairs that do not attend are -inf.
  template <class Group>
  static LONGSTRIDE_DEVICE void hide(Group& group, const Owner& own, const WalkTile& tile,
                                     float (&scores)[kColumns / 8][4]) {
    if (tile.whole) return;  // of the other consumer's queries too
    if (tile.count == kColumns &&
        own.walks.whole(tile.stream, tile.places, own.block.first(), own.block.last(), tile.places.at(tile.begin),
                        tile.places.at(tile.begin + kColumns - 1)))
      return;
    constexpr int kPart = 64;
    LONGSTRIDE_UNROLL
    for (int part = 0; part < kColumns / kPart; ++part) {
      WalkTile of = tile;
      of.begin += part * kPart, of.count -= part * kPart;
      const RowMasks<kPart> masks(group, keys_of_lane(own, group.warp() * kWarpRows, group.lane(), of));
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kPart / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 0; r < 4; ++r)
          if (!masks.has(group.lane(), t, r)) scores[part * kPart / 8 + t][r] = -INFINITY;
      }
    }
  }

  // Scores become weights, 2^(score - largest). less: what is summed of values goes down by.
  template <class Group>
  LONGSTRIDE_DEVICE void weigh(Group& group, float (&scores)[kColumns / 8][4], Rows& rows, float (&less)[2]) const {
    LONGSTRIDE_UNROLL
    for (int half = 0; half < 2; ++half) {
      float largest = -INFINITY;
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 2 * half; r < 2 * half + 2; ++r) {
          scores[t][r] *= portable.scale;
          largest = max(largest, scores[t][r]);
        }
      }
      largest = max(rows.largest[half], row_max(group, largest));
      const float base = largest == -INFINITY ? 0.0f : largest;  // no key so far
      less[half] = exp2_or_zero(rows.largest[half] - base);
      float weights = 0;
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; ++t) {
        LONGSTRIDE_UNROLL
        for (int r = 2 * half; r < 2 * half + 2; ++r) {
          scores[t][r] = exp2_or_zero(scores[t][r] - base);
          weights += scores[t][r];
        }
      }
      rows.weights[half] = rows.weights[half] * less[half] + weights;
      rows.largest[half] = largest;
    }
  }
};

}  // namespace longstride::cuda
