// The backward pass: the tiles of the forward pass again, with the one final log-sum-exp. Sums of dk and dv are float32
// and belong to one thread at a time: those of a residue class that was gathered, since only the class's queries read
// its keys; those of a band of keys that moves with the queries, where a sweep reads no further back; else those of a
// whole head. Where heads are few or long each is cut in kPieces whose sums are added in a fixed order. Neither depends
// on the number of threads. Between sweeps sums of dq, dk and dv wait in the matrices that they are for (store_sums).
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_backward.h"
#include "cpu/attention_classes.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_backward.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

class Backward {
 public:
  Backward(const AttentionBackward& op, const BackwardShape& shape, char* lows)
      : op_(op),
        shape_(shape),
        kernels_(LONGSTRIDE_CHOOSE(kBackwardKernels)[op.dq.type == DType::bfloat16]),
        lows_(lows) {}

  // Head bh = b * H + h, one of `together` from `first` on.
  BackwardHead head(std::int64_t bh, std::int64_t first, std::int64_t together) const {
    const Attention& op = op_.forward;
    const std::int64_t b = bh / op.H, h = bh % op.H;
    BackwardHead head{op.tilings[h],
                      {op.q, b, h},
                      {op.k, b, h},
                      {op.v, b, h},
                      {op.out, b, h},
                      {op_.dout, b, h},
                      {op_.dq, b, h},
                      {op_.dk, b, h},
                      {op_.dv, b, h},
                      {},
                      {},
                      {},
                      op.lse.data + bh * op.T};
    if (!shape_.paired_sums) return head;
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes(), slot = bh - first;
    char* lows = lows_;
    head.dq_low = HeadMatrix(lows, together * q_bytes, q_bytes).head(slot);
    lows += together * op.T * q_bytes;
    head.dk_low = HeadMatrix(lows, together * q_bytes, q_bytes).head(slot);
    lows += together * op.T * q_bytes;
    head.dv_low = HeadMatrix(lows, together * v_bytes, v_bytes).head(slot);
    return head;
  }

  // Every `stride`-th few blocks of a sweep, into the sums of all keys, which the first of the strides continues from
  // earlier sweeps.
  void all_keys(const BackwardHead& head, int sweep, std::int64_t first, std::int64_t stride, const KeySums& sums,
                BackwardScratch& scratch) const {
    if (sweep == 0 || first > 0)
      sums.clear(0, shape_.T);
    else
      for (std::int64_t j = 0; j < shape_.T; ++j) load_key(head, j, sums.dk_row(j), sums.dv_row(j));
    const std::int64_t all = head.tiling->blocks(sweep);
    for (std::int64_t block = first * kBlocksInStep; block < all; block += stride * kBlocksInStep) {
      look_ahead(head, block, block + stride * kBlocksInStep, 0, scratch);
      blocks(head, sweep, block, all, sums, scratch);
    }
  }

  // Blocks [begin, end) of the contiguous sweep, into the sums of a band of keys. Keys below the first query and, where
  // other blocks follow, the last ones go to `edges`: other queries read them too.
  void band(const BackwardHead& head, std::int64_t begin, std::int64_t end, const KeySums& sums, const Edges& edges,
            BackwardScratch& scratch) const {
    const std::int64_t reach = head.tiling->reach(), first = begin * kTileQueries,
                       last = std::min(end * kTileQueries, shape_.T);
    std::int64_t done = std::max<std::int64_t>(0, first - reach + 1);
    sums.clear(0, sums.rows);
    for (std::int64_t block = begin; block < end; block += kBlocksInStep) {
      look_ahead(head, block, block + kBlocksInStep, reach, scratch);
      blocks(head, 0, block, end, sums, scratch);
      const std::int64_t next = (block + kBlocksInStep) * kTileQueries;
      for (const std::int64_t final = next < last ? next - reach + 1 : last; done < final; ++done) {
        float *dk = sums.dk_row(done), *dv = sums.dv_row(done);
        if (done < first)
          edges.before.set(done - (first - reach + 1), dk, dv);
        else if (last < shape_.T && done > last - reach)
          edges.after.set(done - (last - reach + 1), dk, dv);
        else
          store_key(head, 0, done, dk, dv);
        sums.clear(done % sums.rows, 1);
      }
    }
  }

  // The keys before position `first` that the queries on both of its sides read.
  void join(const BackwardHead& head, std::int64_t first, const Edges& before, const Edges& after) const {
    const std::int64_t reach = head.tiling->reach();
    for (std::int64_t t = 0; t < reach - 1; ++t) {
      before.after.add(t, after.before, t);
      store_key(head, 0, first - reach + 1 + t, before.after.dk_row(t), before.after.dv_row(t));
    }
  }

  // dk and dv of keys [begin, end) from the sums of the pieces.
  void finish(const BackwardHead& head, int sweep, const KeySums* sums, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t j = begin; j < end; ++j) {
      for (std::int64_t p = 1; p < shape_.pieces; ++p) sums[0].add(j, sums[p], j);
      store_key(head, sweep, j, sums[0].dk_row(j), sums[0].dv_row(j));
    }
  }

  // One residue class of `heads` heads from bh on, the first of which is `first`. more: the next class comes after it.
  void residue(const BackwardHead& first, std::int64_t bh, std::int64_t heads, const ResidueClass& residue, bool more,
               int sweep, BackwardScratch& scratch) const {
    const ClassMatrices matrices(first, scratch, shape_, heads);
    matrices.gather(residue, sweep > 0, shape_.paired_sums);
    scratch.ahead.left = 0;
    if (more) {
      const ResidueClass next(shape_.T, residue.step, residue.r + 1);
      matrices.look_ahead(next, shape_.paired_sums, scratch.ahead);
    }
    for (std::int64_t h = 0; h < heads; ++h) {
      const BackwardHead head = matrices.head(op_.forward.tilings[(bh + h) % op_.forward.H], h, scratch.class_lse);
      const float* lse = first.lse + h * shape_.T + residue.r;
      for (std::int64_t t = 0; t < residue.rows; ++t) scratch.class_lse[t] = lse[t * residue.step];
      const KeySums& sums = scratch.class_sums;
      if (sweep == 0) sums.clear(0, residue.rows);
      for (std::int64_t j = 0; j < residue.rows && sweep > 0; ++j) load_key(head, j, sums.dk_row(j), sums.dv_row(j));
      for (std::int64_t b = residue.first_block; b < residue.end_block; b += kBlocksInStep)
        blocks(head, sweep, b, residue.end_block, sums, scratch);
      for (std::int64_t j = 0; j < residue.rows; ++j) store_key(head, sweep, j, sums.dk_row(j), sums.dv_row(j));
    }
    matrices.scatter(residue, shape_.paired_sums);
  }

  // The piece-th of a share: a head's classes, a class a lane.
  LaneBackward lane_piece(const ClassShare& share, std::int64_t piece, std::int64_t first, int sweep,
                          const BackwardScratch& scratch) const {
    const BackwardHead head = this->head(share.first_head + piece % share.heads, first, shape_.together);
    return {piece_classes(share, piece, *head.tiling, sweep),
            static_cast<int>(shape_.Dq),
            static_cast<int>(shape_.Dv),
            op_.forward.scale,
            sweep > 0,
            head.q,
            head.k,
            head.v,
            head.out,
            head.dout,
            head.dq,
            head.dk,
            head.dv,
            head.dq_low,
            head.dk_low,
            head.dv_low,
            head.lse,
            scratch.lanes};
  }

 private:
  // While the blocks from `now` on are computed: asks for what those from `next` on read and for what is written
  // afterwards, of keys those that lie `lag` behind the queries (0: none).
  void look_ahead(const BackwardHead& head, std::int64_t now, std::int64_t next, std::int64_t lag,
                  BackwardScratch& scratch) const {
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes(), rows = kBlocksInStep * kTileQueries;
    const std::int64_t read = next * kTileQueries, written = now * kTileQueries, keys = written - lag;
    const HeadMatrix none;
    longstride::look_ahead({{head.q, q_bytes, read},
                            {head.dout, v_bytes, read},
                            {head.out, v_bytes, read},
                            {head.k, q_bytes, read},
                            {head.v, v_bytes, read},
                            {head.dq, q_bytes, written},
                            {head.dq_low, q_bytes, written},
                            {lag > 0 ? head.dk : none, q_bytes, keys},
                            {lag > 0 ? head.dk_low : none, q_bytes, keys},
                            {lag > 0 ? head.dv : none, v_bytes, keys},
                            {lag > 0 ? head.dv_low : none, v_bytes, keys}},
                           std::min(rows, shape_.T - read), scratch.ahead);
  }

  void load_key(const BackwardHead& head, std::int64_t j, float* dk, float* dv) const {
    kernels_.rows.load_sums(head.dk.row(j), head.dk_low.row(j), static_cast<int>(shape_.Dq), dk);
    kernels_.rows.load_sums(head.dv.row(j), head.dv_low.row(j), static_cast<int>(shape_.Dv), dv);
  }

  // The last sweep stores dk and dv, one before it their sums.
  void store_key(const BackwardHead& head, int sweep, std::int64_t j, const float* dk, const float* dv) const {
    const int Dq = static_cast<int>(shape_.Dq), Dv = static_cast<int>(shape_.Dv);
    if (sweep + 1 == head.tiling->sweeps()) {
      kernels_.scale_row(dk, op_.forward.scale, Dq, head.dk.row(j));
      kernels_.scale_row(dv, 1, Dv, head.dv.row(j));
    } else {
      kernels_.rows.store_sums(dk, Dq, head.dk.row(j), head.dk_low.row(j));
      kernels_.rows.store_sums(dv, Dv, head.dv.row(j), head.dv_low.row(j));
    }
  }

  // Blocks [first, first + kBlocksInStep), below `end`, of a sweep, in step.
  void blocks(const BackwardHead& head, int sweep, std::int64_t first, std::int64_t end, const KeySums& sums,
              BackwardScratch& scratch) const {
    const int count = static_cast<int>(std::min<std::int64_t>(kBlocksInStep, end - first));
    QueryBlock in_step[kBlocksInStep];
    for (int b = 0; b < count; ++b) {
      in_step[b] = head.tiling->block(sweep, first + b);
      begin(head, in_step[b], scratch, scratch.tiles[b], scratch.blocks[b]);
    }
    for (TilesInStep tiles(*head.tiling, in_step, count); tiles.next();) {
      Span span = head.span(tiles.keys());
      pack_keys(head, span, scratch);
      span.begin %= sums.rows;
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        BackwardTile& tile = scratch.tiles[b];
        tile.span = span;
        tile.ahead = &scratch.ahead;
        tile.dk = sums.dk;
        tile.dv = sums.dv;
        tile.visible = tiles.tile(b).whole ? nullptr : tiles.tile(b).visible;
        kernels_.tile(tile);
      }
    }
    for (int b = 0; b < count; ++b)
      store_queries(head, sweep, head.span(in_step[b].queries), scratch.tiles[b], scratch);
  }

  void store_queries(const BackwardHead& head, int sweep, const Span& queries, const BackwardTile& tile,
                     const BackwardScratch& scratch) const {
    const bool last = sweep + 1 == head.tiling->sweeps();
    std::fill_n(scratch.factor, kTileQueries, last ? op_.forward.scale : 1.0f);
    char* to[kTileQueries];
    head.dq.rows(queries, to);
    for (int u = 0; u < tile.queries && !last; ++u) to[u] = reinterpret_cast<char*>(scratch.query_sums + u * tile.Dq);
    kernels_.rows.unpack_lanes(tile.dq, scratch.factor, tile.queries, tile.Dq, to, !last);
    if (last) return;
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      kernels_.rows.store_sums(scratch.query_sums + u * tile.Dq, tile.Dq, head.dq.row(i), head.dq_low.row(i));
    });
  }

  void begin(const BackwardHead& head, const QueryBlock& block, BackwardScratch& scratch, BackwardTile& tile,
             const BackwardScratch::Block& to) const {
    const AttentionKernels& rows = kernels_.rows;
    const Span queries = head.span(block.queries);
    const int count = static_cast<int>(queries.count), lanes = rows.vector_lanes;
    tile.queries = count;
    tile.lanes = (count + lanes - 1) / lanes * lanes;
    tile.Dq = static_cast<int>(shape_.Dq);
    tile.Dv = static_cast<int>(shape_.Dv);
    tile.depth = rows.paired ? (tile.Dq + 1) / 2 : tile.Dq;
    tile.depth_v = rows.paired ? (tile.Dv + 1) / 2 : tile.Dv;
    tile.scale = op_.forward.scale * kLog2e;
    const char *from[kTileQueries], *out[kTileQueries];
    scratch.ahead.fetch();
    head.q.rows(queries, from);
    rows.pack_lanes(from, count, tile.Dq, to.q);
    rows.pack_pairs(from, count, tile.Dq, to.q_rows);
    head.dout.rows(queries, from);
    rows.pack_lanes(from, count, tile.Dv, to.dout);
    rows.pack_pairs(from, count, tile.Dv, to.dout_rows);
    scratch.ahead.fetch();
    head.out.rows(queries, out);
    std::fill_n(to.delta, kTileQueries, 0.0f);
    kernels_.delta(out, from, count, tile.Dv, to.delta);
    std::fill_n(to.lse, kTileQueries, INFINITY);
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      if (head.lse[i] != -INFINITY) to.lse[u] = head.lse[i] * kLog2e;
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

  void pack_keys(const BackwardHead& head, const Span& keys, const BackwardScratch& scratch) const {
    const char* rows[kTileKeys];
    const int count = static_cast<int>(keys.count), Dq = static_cast<int>(shape_.Dq);
    head.k.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, Dq, scratch.k);
    kernels_.rows.pack_pairs(rows, count, Dq, scratch.k_pairs);
    head.v.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, static_cast<int>(shape_.Dv), scratch.v);
  }

  const AttentionBackward& op_;
  const BackwardShape& shape_;
  const BackwardKernels& kernels_;
  char* lows_;
};

// Heads [first, end) of those that are not gathered in this sweep, each by one thread.
void backward_by_head(const Backward& backward, const AttentionBackward& op, const BackwardShape& shape,
                      std::int64_t first, std::int64_t end, int sweep, float* memory) {
#pragma omp parallel for schedule(dynamic) num_threads(threads())
  for (std::int64_t bh = first; bh < end; ++bh) {
    if (!shape.by_block(*op.forward.tilings[bh % op.forward.H], sweep)) continue;
    const BackwardMemory mine(memory + omp_get_thread_num() * BackwardMemory(nullptr, shape).floats, shape);
    BackwardScratch scratch = mine.scratch;
    const BackwardHead head = backward.head(bh, first, shape.together);
    if (shape.banded(*head.tiling, sweep)) {
      backward.band(head, 0, head.tiling->blocks(0), mine.sums.of_rows(band_rows(*head.tiling)), mine.edges, scratch);
    } else {
      backward.all_keys(head, sweep, 0, 1, mine.sums, scratch);
      backward.finish(head, sweep, &mine.sums, 0, shape.T);
    }
  }
}

// One head in this sweep, a piece a thread.
void backward_by_piece(const Backward& backward, const BackwardShape& shape, const BackwardHead& head, int sweep,
                       float* memory) {
  const std::int64_t floats = BackwardMemory(nullptr, shape).floats, blocks = head.tiling->blocks(sweep);
  const bool banded = shape.banded(*head.tiling, sweep);
  const auto begin_of = [&](std::int64_t piece) { return blocks * piece / shape.pieces; };
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t piece = 0; piece < shape.pieces; ++piece) {
    const BackwardMemory mine(memory + piece * floats, shape);
    BackwardScratch scratch = mine.scratch;
    if (banded)
      backward.band(head, begin_of(piece), begin_of(piece + 1), mine.sums.of_rows(band_rows(*head.tiling)), mine.edges,
                    scratch);
    else
      backward.all_keys(head, sweep, piece, shape.pieces, mine.sums, scratch);
  }
  if (banded) {
    for (std::int64_t piece = 1; piece < shape.pieces; ++piece)
      backward.join(head, begin_of(piece) * kTileQueries, BackwardMemory(memory + (piece - 1) * floats, shape).edges,
                    BackwardMemory(memory + piece * floats, shape).edges);
    return;
  }
  KeySums sums[kPieces];
  for (std::int64_t piece = 0; piece < shape.pieces; ++piece)
    sums[piece] = BackwardMemory(memory + piece * floats, shape).sums;
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t j = 0; j < shape.T; j += kRowsAtOnce)
    backward.finish(head, sweep, sums, j, std::min(j + kRowsAtOnce, shape.T));
}

void backward_by_class(const Backward& backward, const AttentionBackward& op, const BackwardShape& shape,
                       std::int64_t first, std::int64_t end, int sweep, float* memory) {
  const std::vector<ClassShare> shares = class_shares(op.forward, first, end, sweep);
  const LaneKernels& kernels = lane_kernels(op.dq.type == DType::bfloat16);
#pragma omp parallel for schedule(static, 1) num_threads(threads())
  for (std::size_t s = 0; s < shares.size(); ++s) {
    const ClassShare& share = shares[s];
    BackwardScratch scratch =
        BackwardMemory(memory + omp_get_thread_num() * BackwardMemory(nullptr, shape).floats, shape).scratch;
    if (share.lanes) {
      run_lanes(kernels.lanes, kernels.backward, shares, s, [&](const ClassShare& of, std::int64_t piece) {
        return backward.lane_piece(of, piece, first, sweep, scratch);
      });
      continue;
    }
    const BackwardHead head = backward.head(share.first_head, first, shape.together);
    for (std::int64_t r = share.begin; r < share.end; ++r)
      backward.residue(head, share.first_head, share.heads, ResidueClass(shape.T, share.step, r), r + 1 < share.end,
                       sweep, scratch);
  }
}

}  // namespace

std::int64_t attention_backward_workspace_bytes(const AttentionBackward& op) {
  const BackwardShape shape(op);
  const std::int64_t floats = shape.memories() * BackwardMemory(nullptr, shape).floats;
  return Workspace::rounded(floats * static_cast<std::int64_t>(sizeof(float)) + shape.low_bytes());
}

void attention_backward(const AttentionBackward& op, Workspace& workspace) {
  const BackwardShape shape(op);
  const Workspace::Scope scope(workspace);
  float* memory = static_cast<float*>(workspace.take(attention_backward_workspace_bytes(op)));
  float* lows = memory + shape.memories() * BackwardMemory(nullptr, shape).floats;
  const Backward backward(op, shape, reinterpret_cast<char*>(lows));
  for (std::int64_t first = 0; first < shape.heads; first += shape.together)
    for (int sweep = 0; sweep < shape.sweeps; ++sweep) {
      const std::int64_t end = std::min(first + shape.together, shape.heads);
      if (shape.pieces == 1) backward_by_head(backward, op, shape, first, end, sweep, memory);
      for (std::int64_t bh = first; bh < end && shape.pieces > 1; ++bh)
        if (shape.by_block(*op.forward.tilings[bh % op.forward.H], sweep))
          backward_by_piece(backward, shape, backward.head(bh, first, shape.together), sweep, memory);
      backward_by_class(backward, op, shape, first, end, sweep, memory);
    }
}

}  // namespace longstride
