// The backward pass: the tiles of the forward pass again, with the one final log-sum-exp. Partial sums of dk and dv
// belong to one thread at a time: those of a residue class that was gathered, since only the class's queries read its
// keys; those of a band of keys that moves with the queries, where a sweep reads no further back; else those of a whole
// head. Where heads are few or long each is cut in pieces whose sums are added in a fixed order. Between sweeps partial
// sums of dq, dk and dv wait in the rows that they are for (store_sums).
#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_backward_memory.h"
#include "cpu/attention_executor.h"
#include "cpu/attention_kernels.h"
#include "cpu/class_lanes.h"
#include "cpu/tiles_in_step.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_backward.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

namespace {

// A head, or a class of it that was gathered, in one sweep.
struct HeadInSweep {
  HeadOperands rows;
  const Tiling& tiling;
  int sweep;
  bool last;  // of the head's sweeps
};

class Backward : PassBase {
 public:
  Backward(const PassBase& base, const AttentionBackward& op)
      : PassBase(base), op_(op), kernels_(LONGSTRIDE_CHOOSE(kBackwardKernels)[base.shape_.type == DType::bfloat16]) {}

  void run(const WorkItem& item, const WorkItem* next, int thread) const {
    BackwardScratch scratch = scratch_of(item.piece < 0 ? thread : item.piece);
    const HeadInSweep head = in_sweep(this->head(item, item.head), item.head, item.sweep);
    switch (item.kind) {
      case Work::lanes:
        return run_lanes(lanes_, item, next, backward_lanes, [&](const WorkItem& of, std::int64_t piece) {
          return lane_work(of, piece, this->head(of, of.head + piece % of.heads), scratch.lanes);
        });
      case Work::gathered:
        return run_gathered(shape_, item, head.rows, scratch.copy, scratch.prefetch,
                            [&](const HeadOperands& copied, const float* lse, std::int64_t h, const ResidueClass& of) {
                              residue(in_sweep(copied, item.head + h, item.sweep), lse, of, scratch);
                            });
      case Work::band:
        return band(head, item, scratch);
      case Work::all_keys:
        all_keys(head, item, scratch);
        if (item.piece < 0) finish(head, &scratch.sums.keys, 1, 0, shape_.T);
        return;
      case Work::join_bands:
        return join(head, item.begin, scratch_of(item.piece - 1).sums, scratch.sums);
      default: {  // add_pieces
        KeySums sums[kMostPieces];
        for (int piece = 0; piece < schedule_.pieces; ++piece) sums[piece] = scratch_of(piece).sums.keys;
        finish(head, sums, schedule_.pieces, item.begin, item.end);
      }
    }
  }

 private:
  BackwardScratch scratch_of(std::int64_t slot) const { return {memory_ + slot * scratch_floats_, shape_, schedule_}; }
  HeadInSweep in_sweep(const HeadOperands& rows, std::int64_t bh, int sweep) const {
    return {rows, shape_.tiling(bh), sweep, shape_.last(bh, sweep)};
  }

  // Of head bh = b * H + h, one of those that go on together with the item's.
  HeadOperands head(const WorkItem& item, std::int64_t bh) const {
    const Attention& op = op_.forward;
    const std::int64_t b = bh / shape_.H, h = bh % shape_.H;
    HeadOperands head;
    head.q = {op.q, b, h};
    head.k = {op.k, b, h};
    head.v = {op.v, b, h};
    head.out = {op.out, b, h};
    head.dout = {op_.dout, b, h};
    head.dq = {op_.dq, b, h};
    head.dk = {op_.dk, b, h};
    head.dv = {op_.dv, b, h};
    head.lse = op.lse.data + bh * shape_.T;
    if (!shape_.paired_sums()) return head;
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes(), together = schedule_.together;
    char *dq = lows_, *dk = dq + together * shape_.T * q_bytes, *dv = dk + together * shape_.T * q_bytes;
    head.dq_low = HeadRows(dq, together * q_bytes, q_bytes).head(bh - item.group);
    head.dk_low = HeadRows(dk, together * q_bytes, q_bytes).head(bh - item.group);
    head.dv_low = HeadRows(dv, together * v_bytes, v_bytes).head(bh - item.group);
    return head;
  }

  // Into the sums of all keys, which the first of the pieces continues from earlier sweeps.
  void all_keys(const HeadInSweep& head, const WorkItem& item, BackwardScratch& scratch) const {
    const KeySums& sums = scratch.sums.keys;
    if (head.sweep == 0 || item.piece > 0)
      sums.clear(0, shape_.T);
    else
      for (std::int64_t j = 0; j < shape_.T; ++j) load_key(head.rows, j, sums.dk_row(j), sums.dv_row(j));
    const auto step = [&](std::int64_t block, int count) {
      prefetch(head, block, block + item.stride, 0, scratch.prefetch);
      blocks(head, block, count, sums, scratch);
    };
    each_step({item.begin, item.end}, step, item.stride);
  }

  // Blocks of the contiguous sweep, into the sums of a band of keys. Keys below the first query and, where other blocks
  // follow, the last ones are other pieces' too.
  void band(const HeadInSweep& head, const WorkItem& item, BackwardScratch& scratch) const {
    const KeySums sums = scratch.sums.keys.of_rows(band_rows(head.tiling));
    const std::int64_t reach = head.tiling.reach(), first = item.begin * kTileQueries,
                       last = std::min(item.end * kTileQueries, shape_.T);
    std::int64_t done = std::max<std::int64_t>(0, first - reach + 1);
    sums.clear(0, sums.rows);
    each_step({item.begin, item.end}, [&](std::int64_t block, int count) {
      prefetch(head, block, block + kBlocksInStep, reach, scratch.prefetch);
      blocks(head, block, count, sums, scratch);
      const std::int64_t next = (block + kBlocksInStep) * kTileQueries;
      for (const std::int64_t final = next < last ? next - reach + 1 : last; done < final; ++done) {
        float *dk = sums.dk_row(done), *dv = sums.dv_row(done);
        if (done < first)
          scratch.sums.before.set(done - (first - reach + 1), dk, dv);
        else if (last < shape_.T && done > last - reach)
          scratch.sums.after.set(done - (last - reach + 1), dk, dv);
        else
          store_key(head, done, dk, dv);
        sums.clear(done % sums.rows, 1);
      }
    });
  }

  // The keys before position `first` that the queries on both of its sides read.
  void join(const HeadInSweep& head, std::int64_t first, const PartialSums& before, const PartialSums& after) const {
    const std::int64_t reach = head.tiling.reach();
    for (std::int64_t t = 0; t < reach - 1; ++t) {
      before.after.add(t, after.before, t);
      store_key(head, first - reach + 1 + t, before.after.dk_row(t), before.after.dv_row(t));
    }
  }

  // dk and dv of keys [begin, end) from the sums of the pieces.
  void finish(const HeadInSweep& head, const KeySums* sums, std::int64_t pieces, std::int64_t begin,
              std::int64_t end) const {
    for (std::int64_t j = begin; j < end; ++j) {
      for (std::int64_t p = 1; p < pieces; ++p) sums[0].add(j, sums[p], j);
      store_key(head, j, sums[0].dk_row(j), sums[0].dv_row(j));
    }
  }

  // One residue class of one head, as copied. lse: (positions).
  void residue(const HeadInSweep& head, const float* lse, const ResidueClass& of, BackwardScratch& scratch) const {
    const KeySums& sums = scratch.sums.of_class;
    for (std::int64_t t = 0; t < of.keys; ++t) head.rows.lse[t] = lse[of.position(t)];
    if (head.sweep == 0) sums.clear(0, of.keys);
    for (std::int64_t j = 0; j < of.keys && head.sweep > 0; ++j) load_key(head.rows, j, sums.dk_row(j), sums.dv_row(j));
    each_step(of.blocks, [&](std::int64_t b, int count) { blocks(head, b, count, sums, scratch); });
    for (std::int64_t j = 0; j < of.keys; ++j) store_key(head, j, sums.dk_row(j), sums.dv_row(j));
  }

  // While the blocks from `now` on are computed: asks for what those from `next` on read and for what is written
  // afterwards, of keys those that lie `lag` behind the queries (0: none).
  void prefetch(const HeadInSweep& head, std::int64_t now, std::int64_t next, std::int64_t lag, Prefetch& to) const {
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes();
    const HeadOperands& rows = head.rows;
    to.clear(0);
    if (next >= head.tiling.blocks(head.sweep)) return;
    const BlockRows read(head.tiling.block(head.sweep, next)), written(head.tiling.block(head.sweep, now));
    to.clear(std::min<std::int64_t>(kBlocksInStep * kTileQueries, shape_.T - read.first));
    to.add(read.of(rows.q, q_bytes));
    to.add(read.of(rows.dout, v_bytes));
    to.add(read.of(rows.out, v_bytes));
    to.add(read.of(rows.k, q_bytes));
    to.add(read.of(rows.v, v_bytes));
    to.add(written.of(rows.dq, q_bytes));
    if (rows.dq_low) to.add(written.of(rows.dq_low, q_bytes));
    if (lag == 0) return;
    const BlockRows keys{std::max<std::int64_t>(0, written.first - lag), 1};
    to.add(keys.of(rows.dk, q_bytes));
    to.add(keys.of(rows.dv, v_bytes));
    if (rows.dk_low) to.add(keys.of(rows.dk_low, q_bytes));
    if (rows.dv_low) to.add(keys.of(rows.dv_low, v_bytes));
  }

  void load_key(const HeadOperands& rows, std::int64_t j, float* dk, float* dv) const {
    kernels_.rows.load_sums(rows.dk.row(j), rows.dk_low.row(j), static_cast<int>(shape_.Dq), dk);
    kernels_.rows.load_sums(rows.dv.row(j), rows.dv_low.row(j), static_cast<int>(shape_.Dv), dv);
  }

  // The last sweep stores dk and dv, one before it their partial sums.
  void store_key(const HeadInSweep& head, std::int64_t j, const float* dk, const float* dv) const {
    const int Dq = static_cast<int>(shape_.Dq), Dv = static_cast<int>(shape_.Dv);
    const HeadOperands& rows = head.rows;
    if (head.last) {
      kernels_.scale_row(dk, shape_.scale, Dq, rows.dk.row(j));
      kernels_.scale_row(dv, 1, Dv, rows.dv.row(j));
    } else {
      kernels_.rows.store_sums(dk, Dq, rows.dk.row(j), rows.dk_low.row(j));
      kernels_.rows.store_sums(dv, Dv, rows.dv.row(j), rows.dv_low.row(j));
    }
  }

  // Blocks [first, first + count) of the head's sweep, in step.
  void blocks(const HeadInSweep& head, std::int64_t first, int count, const KeySums& sums,
              BackwardScratch& scratch) const {
    QueryBlock in_step[kBlocksInStep];
    for (int b = 0; b < count; ++b) {
      in_step[b] = head.tiling.block(head.sweep, first + b);
      begin(head.rows, in_step[b], scratch, scratch.tiles[b]);
    }
    for (TilesInStep tiles(head.tiling, in_step, count); tiles.next();) {
      Span span = head.rows.span(tiles.keys());
      pack_keys(head.rows, span, scratch);
      span.begin %= sums.rows;
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        BackwardTile& tile = scratch.tiles[b];
        tile.span = span;
        tile.prefetch = &scratch.prefetch;
        tile.dk = sums.dk;
        tile.dv = sums.dv;
        tile.visible = tiles.tile(b).whole ? nullptr : tiles.tile(b).visible;
        kernels_.tile(tile);
      }
    }
    for (int b = 0; b < count; ++b) store_queries(head, in_step[b].queries, scratch.tiles[b], scratch);
  }

  void begin(const HeadOperands& head, const QueryBlock& block, BackwardScratch& scratch, BackwardTile& tile) const {
    const AttentionKernels& rows = kernels_.rows;
    const Span queries = head.span(block.queries);
    const int count = static_cast<int>(queries.count), lanes = rows.vector_lanes;
    tile.queries = count;
    tile.lanes = (count + lanes - 1) / lanes * lanes;
    tile.Dq = static_cast<int>(shape_.Dq);
    tile.Dv = static_cast<int>(shape_.Dv);
    tile.depth = rows.paired ? (tile.Dq + 1) / 2 : tile.Dq;
    tile.depth_v = rows.paired ? (tile.Dv + 1) / 2 : tile.Dv;
    tile.scale = shape_.scale * kLog2e;
    const char *from[kTileQueries], *out[kTileQueries];
    scratch.prefetch.issue();
    head.q.rows(queries, from);
    rows.pack_lanes(from, count, tile.Dq, tile.q);
    rows.pack_pairs(from, count, tile.Dq, tile.q_rows);
    head.dout.rows(queries, from);
    rows.pack_lanes(from, count, tile.Dv, tile.dout);
    rows.pack_pairs(from, count, tile.Dv, tile.dout_rows);
    scratch.prefetch.issue();
    head.out.rows(queries, out);
    std::fill_n(tile.delta, kTileQueries, 0.0f);
    kernels_.delta(out, from, count, tile.Dv, tile.delta);
    std::fill_n(tile.lse, kTileQueries, INFINITY);
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      if (head.lse[i] != -INFINITY) tile.lse[u] = head.lse[i] * kLog2e;
    });
    if (block.sweep == 0) {
      std::fill_n(tile.dq, shape_.Dq * kTileQueries, 0.0f);
    } else {
      each_position(queries, [&](std::int64_t u, std::int64_t i) {
        float* sums = scratch.query_sums + u * tile.Dq;
        rows.load_sums(head.dq.row(i), head.dq_low.row(i), tile.Dq, sums);
        from[u] = reinterpret_cast<const char*>(sums);
      });
      rows.pack_float_lanes(from, count, tile.Dq, tile.dq);
    }
  }

  // Of all the tiles: they share that memory.
  void pack_keys(const HeadOperands& head, const Span& keys, const BackwardScratch& scratch) const {
    const char* rows[kTileKeys];
    const int count = static_cast<int>(keys.count), Dq = static_cast<int>(shape_.Dq);
    head.k.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, Dq, scratch.tiles[0].k);
    kernels_.rows.pack_pairs(rows, count, Dq, scratch.tiles[0].k_pairs);
    head.v.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, static_cast<int>(shape_.Dv), scratch.tiles[0].v);
  }

  void store_queries(const HeadInSweep& head, const Span& positions, const BackwardTile& tile,
                     const BackwardScratch& scratch) const {
    const Span queries = head.rows.span(positions);
    std::fill_n(scratch.factor, kTileQueries, head.last ? shape_.scale : 1.0f);
    char* to[kTileQueries];
    head.rows.dq.rows(queries, to);
    for (int u = 0; u < tile.queries && !head.last; ++u)
      to[u] = reinterpret_cast<char*>(scratch.query_sums + u * tile.Dq);
    kernels_.rows.unpack_lanes(tile.dq, scratch.factor, tile.queries, tile.Dq, to, !head.last);
    if (head.last) return;
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      kernels_.rows.store_sums(scratch.query_sums + u * tile.Dq, tile.Dq, head.rows.dq.row(i), head.rows.dq_low.row(i));
    });
  }

  const AttentionBackward& op_;
  const BackwardKernels& kernels_;
};

}  // namespace

template <>
AttentionGradient::AttentionPass(const AttentionBackward& shapes, int threads) {
  const AttentionShape shape(shapes.forward);
  const Schedule schedule = backward_schedule(shape, threads);
  const std::int64_t low_bytes = shape.T * (2 * shape.q_bytes() + shape.v_bytes());
  state_ = std::make_unique<const State>(State{shape, threads, schedule,
                                               BackwardScratch(nullptr, shape, schedule).slices.floats(),
                                               shape.paired_sums() ? schedule.together * low_bytes : 0});
}

template <>
void AttentionGradient::run(const AttentionBackward& op, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  run_pass<Backward>(*state_, op, static_cast<float*>(workspace.take(workspace_bytes())));
}

template class AttentionPass<AttentionBackward>;

}  // namespace longstride::cpu
