// The forward pass. Each block of queries is computed by one thread in one order, so that results do not depend on
// threads. A pattern of several sweeps continues the softmax of the sweep before: out and lse of what was read so far
// count as one more key, with score lse and value out.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_executor.h"
#include "cpu/attention_kernels.h"
#include "cpu/class_lanes.h"
#include "cpu/tiles_in_step.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_forward.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

namespace {

// One thread's memory: some blocks of queries, the keys that they read next, and the classes that it has gathered.
struct Scratch {
  Slices slices;
  LaneMemory lanes;
  ClassCopy copy;
  ForwardTile tiles[kBlocksInStep];
  float *factor, *lse;
  float* sums;  // (kTileQueries, Dv)
  Prefetch prefetch;

  Scratch(float* memory, const AttentionShape& shape, const Schedule& schedule)
      : slices(memory),
        lanes(slices, schedule.lane_rows, shape.Dq, shape.Dv, false),
        copy(slices, kForward, shape, schedule.gathered_rows) {
    float* k = slices.take(kTileKeys * padded(shape.Dq));
    float* v = slices.take(kTileKeys * padded(shape.Dv));
    factor = slices.take(kTileQueries);
    lse = slices.take(kTileQueries);
    sums = slices.take(kTileQueries * shape.Dv);
    float* scores = slices.take(kKeyGroup * kTileQueries);
    float* weights = slices.take(kTileKeys * kTileQueries);
    for (int b = 0; b < kBlocksInStep; ++b) {
      ForwardTile& tile = tiles[b];
      tile.q = slices.take(shape.Dq * kTileQueries);
      tile.out = slices.take(shape.Dv * kTileQueries);
      tile.maximum = slices.take(kTileQueries);
      tile.sum = slices.take(kTileQueries);
      tile.scores = scores;
      tile.weights = weights;
      tile.k = k;
      tile.v = v;
    }
  }
};

class Forward : PassBase {
 public:
  Forward(const PassBase& base, const Attention& op)
      : PassBase(base), op_(op), kernels_(LONGSTRIDE_CHOOSE(kForwardKernels)[base.shape_.type == DType::bfloat16]) {}

  void run(const WorkItem& item, const WorkItem* next, int thread) const {
    Scratch scratch(memory_ + thread * scratch_floats_, shape_, schedule_);
    const HeadOperands first = head(item, item.head);
    if (item.kind == Work::lanes) {
      run_lanes(lanes_, item, next, forward_lanes, [&](const WorkItem& of, std::int64_t piece) {
        return lane_work(of, piece, head(of, of.head + piece % of.heads), scratch.lanes);
      });
    } else if (item.kind == Work::gathered) {
      run_gathered(shape_, item, first, scratch.copy, scratch.prefetch,
                   [&](const HeadOperands& copied, float* lse, std::int64_t h, const ResidueClass& of) {
                     for (std::int64_t t = of.first; t < of.keys && item.sweep > 0; ++t)
                       copied.lse[t] = lse[of.position(t)];
                     each_step(of.blocks, [&](std::int64_t b, int count) {
                       blocks(copied, item.head + h, item.sweep, b, count, scratch);
                     });
                     for (std::int64_t t = of.first; t < of.keys; ++t) lse[of.position(t)] = copied.lse[t];
                   });
    } else {
      prefetch(item, next, first, scratch.prefetch);
      blocks(first, item.head, item.sweep, item.begin, static_cast<int>(item.end - item.begin), scratch);
    }
  }

 private:
  // Of head bh = b * H + h, one of those that go on together with the item's.
  HeadOperands head(const WorkItem& item, std::int64_t bh) const {
    const std::int64_t b = bh / shape_.H, h = bh % shape_.H, first = shape_.queries.begin, Dv = shape_.Dv;
    HeadOperands head;
    head.q = {op_.q, b, h, first};
    head.k = {op_.k, b, h};
    head.v = {op_.v, b, h};
    head.out = {op_.out, b, h, first};
    head.lse = op_.lse.data + bh * shape_.query_rows() - first;
    const Heads lows{lows_, shape_.type, 1, shape_.query_rows(), schedule_.together, Dv, 0, schedule_.together * Dv,
                     Dv};
    if (shape_.paired_sums()) head.out_low = {lows, 0, bh - item.group, first};
    return head;
  }

  // Asks for what the item writes, and for what the next one reads.
  void prefetch(const WorkItem& item, const WorkItem* next, const HeadOperands& rows, Prefetch& to) const {
    const BlockRows written(shape_.tiling(item.head).block(item.sweep, item.begin, shape_.queries));
    to.clear(std::min<std::int64_t>(kBlocksInStep * kTileQueries, shape_.queries.end - written.first));
    if (next != nullptr) {
      const HeadOperands other = head(*next, next->head);
      const BlockRows read(shape_.tiling(next->head).block(next->sweep, next->begin, shape_.queries));
      to.add(read.of(other.q, shape_.q_bytes()));
      to.add(read.of(other.k, shape_.q_bytes()));
      to.add(read.of(other.v, shape_.v_bytes()));
    }
    to.add(written.of(rows.out, shape_.v_bytes()));
    if (rows.out_low) to.add(written.of(rows.out_low, shape_.v_bytes()));
  }

  // Blocks [first, first + count) of a sweep of head bh, in step.
  void blocks(const HeadOperands& head, std::int64_t bh, int sweep, std::int64_t first, int count,
              Scratch& scratch) const {
    const Tiling& tiling = shape_.tiling(bh);
    const bool last = shape_.last(bh, sweep);
    QueryBlock in_step[kBlocksInStep];
    for (int b = 0; b < count; ++b) {
      in_step[b] = tiling.block(sweep, first + b, shape_.queries);
      begin(head, in_step[b], scratch, b, false);
    }
    read(head, tiling, in_step, count, 0, scratch);
    for (int b = 0; b < count; ++b) {
      const QueryBlock& block = in_step[b];
      if (end(head, block, last, scratch, b)) continue;
      begin(head, block, scratch, b, true);  // the exact way: what is not finite may be none of these queries' business
      read(head, tiling, &block, 1, b, scratch);
      end(head, block, last, scratch, b);
    }
  }

  void begin(const HeadOperands& head, const QueryBlock& block, Scratch& scratch, int b, bool exact) const {
    const char* rows[kTileQueries];
    const Span queries = head.span(block.queries);
    scratch.prefetch.issue();
    head.q.rows(queries, rows);
    ForwardTile& tile = scratch.tiles[b];
    const int count = static_cast<int>(queries.count), lanes = kernels_.rows.vector_lanes;
    tile.lanes = (count + lanes - 1) / lanes * lanes;
    tile.depth = static_cast<int>(kernels_.rows.paired ? (shape_.Dq + 1) / 2 : shape_.Dq);
    tile.Dv = static_cast<int>(shape_.Dv);
    tile.scale = shape_.scale * kLog2e;
    tile.exact = exact;
    kernels_.rows.pack_lanes(rows, count, static_cast<int>(shape_.Dq), tile.q);
    std::fill_n(tile.maximum, kTileQueries, -FLT_MAX);
    std::fill_n(tile.sum, kTileQueries, 0.0f);
    tile.started = 0;
    if (block.sweep == 0) return;
    tile.started = ~std::uint64_t{0};
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      float* sums = scratch.sums + u * shape_.Dv;
      rows[u] = reinterpret_cast<const char*>(sums);
      kernels_.rows.load_sums(head.out.row(i), head.out_low.row(i), tile.Dv, sums);
      if (head.lse[i] == -INFINITY) return;
      tile.maximum[u] = head.lse[i] * kLog2e;
      tile.sum[u] = 1;
    });
    kernels_.rows.pack_float_lanes(rows, count, tile.Dv, tile.out);
  }

  // slot: of the first block's memory.
  void read(const HeadOperands& head, const Tiling& tiling, const QueryBlock* in_step, int count, int slot,
            Scratch& scratch) const {
    const char* rows[kTileKeys];
    for (TilesInStep tiles(tiling, in_step, count); tiles.next();) {
      const int keys = static_cast<int>(tiles.keys().count);
      const Span span = head.span(tiles.keys());
      head.k.rows(span, rows);
      kernels_.rows.pack_rows(rows, keys, static_cast<int>(shape_.Dq), scratch.tiles[0].k);
      scratch.prefetch.issue();
      head.v.rows(span, rows);
      kernels_.rows.pack_pairs(rows, keys, static_cast<int>(shape_.Dv), scratch.tiles[0].v);
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        ForwardTile& tile = scratch.tiles[slot + b];
        tile.prefetch = &scratch.prefetch;
        tile.keys = keys;
        tile.visible = tiles.tile(b).whole ? nullptr : tiles.tile(b).visible;
        kernels_.tile(tile);
      }
    }
  }

  // Stores out and lse, or what later sweeps go on from. False if an output is not finite; what an earlier sweep left
  // is then still there, unless the tile is exact.
  bool end(const HeadOperands& head, const QueryBlock& block, bool last, Scratch& scratch, int b) const {
    ForwardTile& tile = scratch.tiles[b];
    kernels_.finish(tile, scratch.factor, scratch.lse);
    if (block.sweep > 0 && !tile.exact && !kernels_.finite(tile)) return false;
    char* to[kTileQueries];
    const Span queries = head.span(block.queries);
    const int count = static_cast<int>(queries.count);
    scratch.prefetch.issue();
    head.out.rows(queries, to);
    for (std::int64_t u = 0; u < count && !last; ++u) to[u] = reinterpret_cast<char*>(scratch.sums + u * shape_.Dv);
    const bool finite = kernels_.rows.unpack_lanes(tile.out, scratch.factor, count, tile.Dv, to, !last);
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      if (!last) kernels_.rows.store_sums(scratch.sums + u * shape_.Dv, tile.Dv, head.out.row(i), head.out_low.row(i));
      head.lse[i] = scratch.lse[u];
    });
    return finite;
  }

  const Attention& op_;
  const ForwardKernels& kernels_;
};

}  // namespace

template <>
AttentionForward::AttentionPass(const Attention& shapes, int threads) {
  const AttentionShape shape(shapes);
  const Schedule schedule = forward_schedule(shape, threads);
  const std::int64_t low_bytes = shape.query_rows() * shape.v_bytes();
  state_ =
      std::make_unique<const State>(State{shape, threads, schedule, Scratch(nullptr, shape, schedule).slices.floats(),
                                          shape.paired_sums() ? schedule.together * low_bytes : 0});
}

template <>
void AttentionForward::run(const Attention& op, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  run_pass<Forward>(*state_, op, static_cast<float*>(workspace.take(workspace_bytes())));
}

template class AttentionPass<Attention>;

}  // namespace longstride::cpu
