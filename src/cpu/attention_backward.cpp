// The backward pass: the tiles of the forward pass again, with the one final log-sum-exp. A unit of work owns float32
// sums of dk and dv: a head, or, where heads are few, one of kFewHeadsPieces interleaved shares of a head's blocks
// whose sums are added in a fixed order. Neither depends on the number of threads. Keys of a residue class are read by
// that class's queries only: a class that is not too long has sums of its own, which the caches hold.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_kernels.h"
#include "cpu/attention_rows.h"
#include "cpu/attention_tiles.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_backward.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

constexpr std::int64_t kFewHeadsPieces = 2;
constexpr std::int64_t kRowsAtOnce = 256;  // of the last pass over dk and dv
constexpr std::int64_t kClassRows = 1024;  // of sums of a class; with heads of 64 they take half a MiB

struct Shape {
  std::int64_t heads, pieces, T, Dq, Dv;
  bool sweeps_in_place;  // sums of dq between sweeps need no memory of their own
  explicit Shape(const AttentionBackward& op)
      : heads(op.forward.B * op.forward.H),
        pieces(heads < 8 && heads % 2 == 1 ? kFewHeadsPieces : 1),
        T(op.forward.T),
        Dq(op.forward.q.cols / op.forward.H),
        Dv(op.forward.v.cols / op.forward.H),
        sweeps_in_place(op.dq.type == DType::float32) {}
  std::int64_t in_flight() const { return pieces > 1 ? 1 : std::min<std::int64_t>(heads, threads()); }
};

// One thread's memory: some blocks of queries, and the keys that they read next.
struct Scratch {
  struct Block {
    float *q, *dout, *q_rows, *dout_rows, *lse, *delta;  // what its tile points to
  };
  BackwardTile tiles[kBlocksInStep];
  Block blocks[kBlocksInStep];
  float *k, *k_pairs, *v, *factor;
  float *class_dk, *class_dv;  // (kClassRows, padded(Dq)), (kClassRows, padded(Dv))
  std::int64_t floats;

  Scratch(float* memory, const Shape& shape) {
    Pieces pieces(memory);
    k = pieces.take(padded(shape.Dq) * kTileKeys);
    k_pairs = pieces.take(padded(shape.Dq) * kTileKeys);
    v = pieces.take(padded(shape.Dv) * kTileKeys);
    factor = pieces.take(kTileQueries);
    class_dk = pieces.take(std::min(shape.T, kClassRows) * padded(shape.Dq));
    class_dv = pieces.take(std::min(shape.T, kClassRows) * padded(shape.Dv));
    float* scores = pieces.take(kKeyGroup * kTileQueries);
    float* dweights = pieces.take(kKeyGroup * kTileQueries);
    float* p_rows = pieces.take(kTileKeys * kTileQueries);
    float* ds_rows = pieces.take(kTileKeys * kTileQueries);
    float* ds_pairs = pieces.take(kTileKeys * kTileQueries);
    for (int b = 0; b < kBlocksInStep; ++b) {
      BackwardTile& tile = tiles[b];
      Block& block = blocks[b];
      tile.q = block.q = pieces.take(shape.Dq * kTileQueries);
      tile.dout = block.dout = pieces.take(shape.Dv * kTileQueries);
      tile.q_rows = block.q_rows = pieces.take(padded(shape.Dq) * kTileQueries);
      tile.dout_rows = block.dout_rows = pieces.take(padded(shape.Dv) * kTileQueries);
      tile.lse = block.lse = pieces.take(kTileQueries);
      tile.delta = block.delta = pieces.take(kTileQueries);
      tile.dq = pieces.take(shape.Dq * kTileQueries);
      tile.k = k;
      tile.k_pairs = k_pairs;
      tile.v = v;
      tile.scores = scores;
      tile.dweights = dweights;
      tile.p_rows = p_rows;
      tile.ds_rows = ds_rows;
      tile.ds_pairs = ds_pairs;
    }
    floats = pieces.floats();
  }
};

// Sums of one head: dk and dv a piece, and dq between sweeps.
struct Sums {
  float* dk[kFewHeadsPieces];  // (T, padded(Dq)) each
  float* dv[kFewHeadsPieces];  // (T, padded(Dv)) each
  float* dq;                   // (T, Dq); nullptr where dq itself is float32
  std::int64_t floats;

  Sums(float* memory, const Shape& shape) {
    Pieces pieces(memory);
    for (std::int64_t p = 0; p < shape.pieces; ++p) {
      dk[p] = pieces.take(shape.T * padded(shape.Dq));
      dv[p] = pieces.take(shape.T * padded(shape.Dv));
    }
    dq = shape.sweeps_in_place ? nullptr : pieces.take(shape.T * shape.Dq);
    floats = pieces.floats();
  }
};

// One head of one sequence.
struct Head {
  const Tiling& tiling;
  HeadMatrix q, k, v, out, dout, dq, dk, dv;
  HeadMatrix dq_sums;
  const float* lse;  // (T)
};

class Backward {
 public:
  explicit Backward(const AttentionBackward& op)
      : op_(op), shape_(op), kernels_(LONGSTRIDE_CHOOSE(kBackwardKernels)[op.dq.type == DType::bfloat16]) {}

  Head head(std::int64_t bh, const Sums& sums) const {
    const Attention& op = op_.forward;
    const std::int64_t first_row = bh / op.H * op.T, h = bh % op.H, q = h * shape_.Dq, v = h * shape_.Dv;
    Head head{*op.tilings[h],         {op.q, first_row, q},
              {op.k, first_row, q},   {op.v, first_row, v},
              {op.out, first_row, v}, {op_.dout, first_row, v},
              {op_.dq, first_row, q}, {op_.dk, first_row, q},
              {op_.dv, first_row, v}, {},
              op.lse + bh * op.T};
    if (shape_.sweeps_in_place) {
      head.dq_sums = head.dq;
    } else {
      head.dq_sums.data = reinterpret_cast<char*>(sums.dq);
      head.dq_sums.row_bytes = shape_.Dq * static_cast<std::int64_t>(sizeof(float));
    }
    return head;
  }

  // A share of a sweep: every pieces-th few blocks, or every pieces-th residue class.
  void piece(const Head& head, const Sums& sums, std::int64_t piece, int sweep, Scratch& scratch) const {
    if (by_class(head.tiling, sweep)) return classes(head, sums, piece, sweep, scratch);
    for (BackwardTile& tile : scratch.tiles) {
      tile.dk = sums.dk[piece];
      tile.dv = sums.dv[piece];
    }
    const std::int64_t all = head.tiling.blocks(sweep);
    for (std::int64_t first = piece * kBlocksInStep; first < all; first += shape_.pieces * kBlocksInStep)
      blocks(head, sweep, first, all, 0, scratch);
  }

  // Sums of whole heads are needed for what is not finished class by class.
  bool needs_sums(const Head& head) const { return head.tiling.sweeps() > 1 || !by_class(head.tiling, 0); }
  bool needs_finish(const Head& head) const { return !by_class(head.tiling, head.tiling.sweeps() - 1); }

  void clear(const Sums& sums, std::int64_t piece) const {
    std::fill_n(sums.dk[piece], shape_.T * padded(shape_.Dq), 0.0f);
    std::fill_n(sums.dv[piece], shape_.T * padded(shape_.Dv), 0.0f);
  }

  // dk and dv of rows [begin, end).
  void finish(const Head& head, const Sums& sums, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t j = begin; j < end; ++j) {
      float *dk = sums.dk[0] + j * padded(shape_.Dq), *dv = sums.dv[0] + j * padded(shape_.Dv);
      add_sums(sums, 1, j, dk, dv);
      store_row(head, j, dk, dv);
    }
  }

 private:
  // True for a sweep over residue classes that are finished one by one.
  bool by_class(const Tiling& tiling, int sweep) const {
    const Span queries = tiling.block(sweep, 0).queries;
    return queries.run == 1 && (shape_.T + queries.step - 1) / queries.step <= kClassRows;
  }

  // dk and dv += the sums of row j of the pieces from `first` on.
  void add_sums(const Sums& sums, std::int64_t first, std::int64_t j, float* dk, float* dv) const {
    for (std::int64_t p = first; p < shape_.pieces; ++p) {
      for (std::int64_t d = 0; d < shape_.Dq; ++d) dk[d] += sums.dk[p][j * padded(shape_.Dq) + d];
      for (std::int64_t d = 0; d < shape_.Dv; ++d) dv[d] += sums.dv[p][j * padded(shape_.Dv) + d];
    }
  }
  void store_row(const Head& head, std::int64_t j, const float* dk, const float* dv) const {
    kernels_.scale_row(dk, op_.forward.scale, static_cast<int>(shape_.Dq), head.dk.data + j * head.dk.row_bytes);
    kernels_.scale_row(dv, 1, static_cast<int>(shape_.Dv), head.dv.data + j * head.dv.row_bytes);
  }

  void classes(const Head& head, const Sums& sums, std::int64_t piece, int sweep, Scratch& scratch) const {
    const std::int64_t step = head.tiling.block(sweep, 0).queries.step;
    std::int64_t first = 0;
    for (std::int64_t r = 0; r < step && r < shape_.T; ++r) {
      const std::int64_t rows = (shape_.T - r + step - 1) / step,
                         last = first + (rows + kTileQueries - 1) / kTileQueries;
      if (r % shape_.pieces == piece) {
        for (BackwardTile& tile : scratch.tiles) {
          tile.dk = scratch.class_dk;
          tile.dv = scratch.class_dv;
        }
        std::fill_n(scratch.class_dk, rows * padded(shape_.Dq), 0.0f);
        std::fill_n(scratch.class_dv, rows * padded(shape_.Dv), 0.0f);
        for (; first < last; first += kBlocksInStep) blocks(head, sweep, first, last, step, scratch);
        finish_class(head, sums, piece, sweep, {r, 1, step, rows}, scratch);
      }
      first = last;
    }
  }

  // The last sweep stores; one before it adds to the sums of its piece.
  void finish_class(const Head& head, const Sums& sums, std::int64_t piece, int sweep, const Span& rows,
                    const Scratch& scratch) const {
    const bool last = sweep + 1 == head.tiling.sweeps();
    each_position(rows, [&](std::int64_t t, std::int64_t j) {
      float *dk = scratch.class_dk + t * padded(shape_.Dq), *dv = scratch.class_dv + t * padded(shape_.Dv);
      if (last) {
        if (sweep > 0) add_sums(sums, 0, j, dk, dv);
        store_row(head, j, dk, dv);
      } else {
        float *all_dk = sums.dk[piece] + j * padded(shape_.Dq), *all_dv = sums.dv[piece] + j * padded(shape_.Dv);
        for (std::int64_t d = 0; d < shape_.Dq; ++d) all_dk[d] += dk[d];
        for (std::int64_t d = 0; d < shape_.Dv; ++d) all_dv[d] += dv[d];
      }
    });
  }

  // Blocks [first, first + kBlocksInStep), below `end`, of a sweep, in step. step: 0, or that of the residue class
  // whose own sums are added to.
  void blocks(const Head& head, int sweep, std::int64_t first, std::int64_t end, std::int64_t step,
              Scratch& scratch) const {
    const int count = static_cast<int>(std::min<std::int64_t>(kBlocksInStep, end - first));
    for (int b = 0; b < count; ++b)
      begin(head, head.tiling.block(sweep, first + b), scratch.tiles[b], scratch.blocks[b]);
    for (TilesInStep tiles(head.tiling, sweep, first, count); tiles.next();) {
      pack_keys(head, tiles.keys(), scratch);
      Span span = tiles.keys();
      if (step > 0) span = {span.begin / step, kTileKeys, kTileKeys, span.count};
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        scratch.tiles[b].span = span;
        scratch.tiles[b].visible = tiles.tile(b).whole ? nullptr : tiles.tile(b).visible;
        kernels_.tile(scratch.tiles[b]);
      }
    }
    const bool last = sweep + 1 == head.tiling.sweeps();
    std::fill_n(scratch.factor, kTileQueries, last ? op_.forward.scale : 1.0f);
    for (int b = 0; b < count; ++b) {
      char* to[kTileQueries];
      (last ? head.dq : head.dq_sums).rows(head.tiling.block(sweep, first + b).queries, to);
      const BackwardTile& tile = scratch.tiles[b];
      kernels_.rows.unpack_lanes(tile.dq, scratch.factor, tile.queries, tile.Dq, to, !last);
    }
  }

  void begin(const Head& head, const QueryBlock& block, BackwardTile& tile, const Scratch::Block& to) const {
    const AttentionKernels& rows = kernels_.rows;
    const int count = static_cast<int>(block.queries.count), lanes = rows.vector_lanes;
    tile.queries = count;
    tile.lanes = (count + lanes - 1) / lanes * lanes;
    tile.Dq = static_cast<int>(shape_.Dq);
    tile.Dv = static_cast<int>(shape_.Dv);
    tile.depth = rows.paired ? (tile.Dq + 1) / 2 : tile.Dq;
    tile.depth_v = rows.paired ? (tile.Dv + 1) / 2 : tile.Dv;
    tile.scale = op_.forward.scale * kLog2e;
    const char *from[kTileQueries], *out[kTileQueries];
    head.q.rows(block.queries, from);
    rows.pack_lanes(from, count, tile.Dq, to.q);
    rows.pack_pairs(from, count, tile.Dq, to.q_rows);
    head.dout.rows(block.queries, from);
    rows.pack_lanes(from, count, tile.Dv, to.dout);
    rows.pack_pairs(from, count, tile.Dv, to.dout_rows);
    head.out.rows(block.queries, out);
    std::fill_n(to.delta, kTileQueries, 0.0f);
    kernels_.delta(out, from, count, tile.Dv, to.delta);
    std::fill_n(to.lse, kTileQueries, INFINITY);
    each_position(block.queries, [&](std::int64_t u, std::int64_t i) {
      if (head.lse[i] != -INFINITY) to.lse[u] = head.lse[i] * kLog2e;
    });
    if (block.sweep == 0) {
      std::fill_n(tile.dq, shape_.Dq * kTileQueries, 0.0f);
    } else {
      head.dq_sums.rows(block.queries, from);
      rows.pack_float_lanes(from, count, tile.Dq, tile.dq);
    }
  }

  void pack_keys(const Head& head, const Span& keys, const Scratch& scratch) const {
    const char* rows[kTileKeys];
    const int count = static_cast<int>(keys.count), Dq = static_cast<int>(shape_.Dq);
    head.k.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, Dq, scratch.k);
    kernels_.rows.pack_pairs(rows, count, Dq, scratch.k_pairs);
    head.v.rows(keys, rows);
    kernels_.rows.pack_rows(rows, count, static_cast<int>(shape_.Dv), scratch.v);
  }

  const AttentionBackward& op_;
  Shape shape_;
  const BackwardKernels& kernels_;
};

void backward_by_head(const AttentionBackward& op, const Shape& shape, float* memory) {
  const Backward backward(op);
  const std::int64_t scratch_floats = Scratch(nullptr, shape).floats, sums_floats = Sums(nullptr, shape).floats;
#pragma omp parallel for schedule(dynamic) num_threads(static_cast <int>(shape.in_flight()))
  for (std::int64_t bh = 0; bh < shape.heads; ++bh) {
    float* mine = memory + omp_get_thread_num() * (scratch_floats + sums_floats);
    const Sums sums(mine, shape);
    Scratch scratch(mine + sums_floats, shape);
    const Head head = backward.head(bh, sums);
    if (backward.needs_sums(head)) backward.clear(sums, 0);
    for (int sweep = 0; sweep < head.tiling.sweeps(); ++sweep) backward.piece(head, sums, 0, sweep, scratch);
    if (backward.needs_finish(head)) backward.finish(head, sums, 0, shape.T);
  }
}

void backward_by_piece(const AttentionBackward& op, const Shape& shape, float* memory) {
  const Backward backward(op);
  const std::int64_t scratch_floats = Scratch(nullptr, shape).floats;
  const Sums sums(memory, shape);
  memory += sums.floats;
  for (std::int64_t bh = 0; bh < shape.heads; ++bh) {
    const Head head = backward.head(bh, sums);
    for (int sweep = 0; sweep < head.tiling.sweeps(); ++sweep) {
#pragma omp parallel for schedule(static) num_threads(threads())
      for (std::int64_t piece = 0; piece < shape.pieces; ++piece) {
        Scratch scratch(memory + piece * scratch_floats, shape);
        if (sweep == 0 && backward.needs_sums(head)) backward.clear(sums, piece);
        backward.piece(head, sums, piece, sweep, scratch);
      }
    }
    if (!backward.needs_finish(head)) continue;
#pragma omp parallel for schedule(static) num_threads(threads())
    for (std::int64_t j = 0; j < shape.T; j += kRowsAtOnce)
      backward.finish(head, sums, j, std::min(j + kRowsAtOnce, shape.T));
  }
}

}  // namespace

std::int64_t attention_backward_workspace_bytes(const AttentionBackward& op) {
  const Shape shape(op);
  const std::int64_t scratches = shape.pieces > 1 ? shape.pieces : shape.in_flight();
  const std::int64_t floats =
      scratches * Scratch(nullptr, shape).floats + shape.in_flight() * Sums(nullptr, shape).floats;
  return floats * static_cast<std::int64_t>(sizeof(float));
}

void attention_backward(const AttentionBackward& op, Workspace& workspace) {
  const Shape shape(op);
  const Workspace::Scope scope(workspace);
  float* memory = static_cast<float*>(workspace.take(attention_backward_workspace_bytes(op)));
  if (shape.pieces > 1)
    backward_by_piece(op, shape, memory);
  else
    backward_by_head(op, shape, memory);
}

}  // namespace longstride
