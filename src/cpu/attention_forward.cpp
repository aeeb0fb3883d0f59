// The forward pass, parallel over blocks of queries. Each block is computed by one thread in one order, so that results
// do not depend on threads. A pattern of several sweeps continues the softmax of the sweep before: out and lse of what
// was read so far count as one more key, with score lse and value out.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_kernels.h"
#include "cpu/attention_rows.h"
#include "cpu/attention_tiles.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_forward.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

struct Shape {
  std::int64_t Dq, Dv;
  explicit Shape(const Attention& op) : Dq(op.q.cols / op.H), Dv(op.v.cols / op.H) {}
};

// One thread's memory: some blocks of queries, and the keys that they read next.
struct Scratch {
  ForwardTile tiles[kBlocksInStep];
  float* q[kBlocksInStep];  // what the tiles' q points to
  float *k, *v, *factor, *lse;
  std::int64_t floats;

  Scratch(float* memory, const Shape& shape) {
    Pieces pieces(memory);
    k = pieces.take(kTileKeys * padded(shape.Dq));
    v = pieces.take(kTileKeys * padded(shape.Dv));
    factor = pieces.take(kTileQueries);
    lse = pieces.take(kTileQueries);
    float* scores = pieces.take(kKeyGroup * kTileQueries);
    float* weights = pieces.take(kTileKeys * kTileQueries);
    for (int b = 0; b < kBlocksInStep; ++b) {
      ForwardTile& tile = tiles[b];
      tile.q = q[b] = pieces.take(shape.Dq * kTileQueries);
      tile.out = pieces.take(shape.Dv * kTileQueries);
      tile.maximum = pieces.take(kTileQueries);
      tile.sum = pieces.take(kTileQueries);
      tile.scores = scores;
      tile.weights = weights;
      tile.k = k;
      tile.v = v;
    }
    floats = pieces.floats();
  }
};

// One head of one sequence.
struct Head {
  const Tiling& tiling;
  HeadMatrix q, k, v, out;
  HeadMatrix partial;  // float32, of sweeps before the last
  float* lse;          // (T)
};

class Forward {
 public:
  Forward(const Attention& op, float* partials)
      : op_(op),
        shape_(op),
        kernels_(LONGSTRIDE_CHOOSE(kForwardKernels)[op.q.type == DType::bfloat16]),
        partials_(partials) {}

  // Head bh = b * H + h, the slot-th of those in flight.
  Head head(std::int64_t bh, std::int64_t slot) const {
    const std::int64_t first_row = bh / op_.H * op_.T, h = bh % op_.H;
    Head head{*op_.tilings[h],
              {op_.q, first_row, h * shape_.Dq},
              {op_.k, first_row, h * shape_.Dq},
              {op_.v, first_row, h * shape_.Dv},
              {op_.out, first_row, h * shape_.Dv},
              {},
              op_.lse + bh * op_.T};
    if (op_.out.type == DType::float32) {
      head.partial = head.out;
    } else {
      head.partial.data = reinterpret_cast<char*>(partials_ + slot * op_.T * shape_.Dv);
      head.partial.row_bytes = shape_.Dv * static_cast<std::int64_t>(sizeof(float));
    }
    return head;
  }

  // Blocks [first, first + count) of a sweep, in step.
  void blocks(const Head& head, int sweep, std::int64_t first, int count, Scratch& scratch) const {
    for (int b = 0; b < count; ++b) begin(head, head.tiling.block(sweep, first + b), scratch, b, false);
    read(head, sweep, first, count, 0, scratch);
    for (int b = 0; b < count; ++b) {
      const QueryBlock block = head.tiling.block(sweep, first + b);
      if (end(head, block, scratch, b)) continue;
      begin(head, block, scratch, b, true);  // the exact way: what is not finite may be none of these queries' business
      read(head, sweep, first + b, 1, b, scratch);
      end(head, block, scratch, b);
    }
  }

 private:
  void begin(const Head& head, const QueryBlock& block, Scratch& scratch, int b, bool exact) const {
    const char* rows[kTileQueries];
    head.q.rows(block.queries, rows);
    ForwardTile& tile = scratch.tiles[b];
    const int count = static_cast<int>(block.queries.count), lanes = kernels_.rows.vector_lanes;
    tile.lanes = (count + lanes - 1) / lanes * lanes;
    tile.depth = static_cast<int>(kernels_.rows.paired ? (shape_.Dq + 1) / 2 : shape_.Dq);
    tile.Dv = static_cast<int>(shape_.Dv);
    tile.scale = op_.scale * kLog2e;
    tile.exact = exact;
    kernels_.rows.pack_lanes(rows, count, static_cast<int>(shape_.Dq), scratch.q[b]);
    std::fill_n(tile.maximum, kTileQueries, -FLT_MAX);
    std::fill_n(tile.sum, kTileQueries, 0.0f);
    tile.started = 0;
    if (block.sweep == 0) return;
    tile.started = ~std::uint64_t{0};
    head.partial.rows(block.queries, rows);
    kernels_.rows.pack_float_lanes(rows, count, tile.Dv, tile.out);
    each_position(block.queries, [&](std::int64_t u, std::int64_t i) {
      if (head.lse[i] == -INFINITY) return;
      tile.maximum[u] = head.lse[i] * kLog2e;
      tile.sum[u] = 1;
    });
  }

  // slot: of the first block's memory.
  void read(const Head& head, int sweep, std::int64_t first, int count, int slot, Scratch& scratch) const {
    const char* rows[kTileKeys];
    for (TilesInStep tiles(head.tiling, sweep, first, count); tiles.next();) {
      const int keys = static_cast<int>(tiles.keys().count);
      head.k.rows(tiles.keys(), rows);
      kernels_.rows.pack_rows(rows, keys, static_cast<int>(shape_.Dq), scratch.k);
      head.v.rows(tiles.keys(), rows);
      kernels_.rows.pack_pairs(rows, keys, static_cast<int>(shape_.Dv), scratch.v);
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        ForwardTile& tile = scratch.tiles[slot + b];
        tile.keys = keys;
        tile.visible = tiles.tile(b).whole ? nullptr : tiles.tile(b).visible;
        kernels_.tile(tile);
      }
    }
  }

  // Stores out and lse, or what later sweeps go on from. False if an output is not finite; what an earlier sweep left
  // is then still there, unless the tile is exact.
  bool end(const Head& head, const QueryBlock& block, Scratch& scratch, int b) const {
    ForwardTile& tile = scratch.tiles[b];
    kernels_.finish(tile, scratch.factor, scratch.lse);
    if (block.sweep > 0 && !tile.exact && !kernels_.finite(tile)) return false;
    char* to[kTileQueries];
    const bool last = block.sweep + 1 == head.tiling.sweeps();
    (last ? head.out : head.partial).rows(block.queries, to);
    const int count = static_cast<int>(block.queries.count);
    const bool finite = kernels_.rows.unpack_lanes(tile.out, scratch.factor, count, tile.Dv, to, !last);
    each_position(block.queries, [&](std::int64_t u, std::int64_t i) { head.lse[i] = scratch.lse[u]; });
    return finite;
  }

  const Attention& op_;
  Shape shape_;
  const ForwardKernels& kernels_;
  float* partials_;
};

// Heads whose sweeps go on together: blocks enough for the threads.
std::int64_t heads_in_flight(const Attention& op) {
  const std::int64_t blocks = 8 * threads() * kTileQueries;
  return std::min(op.B * op.H, std::max<std::int64_t>(1, (blocks + op.T - 1) / op.T));
}

}  // namespace

std::int64_t attention_workspace_bytes(const Attention& op) {
  const Shape shape(op);
  std::int64_t floats = threads() * Scratch(nullptr, shape).floats;
  if (op.out.type == DType::bfloat16) floats += heads_in_flight(op) * padded(op.T * shape.Dv);
  return floats * static_cast<std::int64_t>(sizeof(float));
}

void attention_forward(const Attention& op, Workspace& workspace) {
  const Shape shape(op);
  const std::int64_t scratch_floats = Scratch(nullptr, shape).floats;
  const Workspace::Scope scope(workspace);
  float* memory = static_cast<float*>(workspace.take(attention_workspace_bytes(op)));
  const Forward forward(op, memory + threads() * scratch_floats);

  int sweeps = 1;
  for (std::int64_t h = 0; h < op.H; ++h) sweeps = std::max(sweeps, op.tilings[h]->sweeps());
  const std::int64_t heads = op.B * op.H, together = sweeps == 1 ? heads : heads_in_flight(op);
  for (std::int64_t first = 0; first < heads; first += together)
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      const std::int64_t end = std::min(first + together, heads);
      std::int64_t most = 0;
      for (std::int64_t h = 0; h < op.H; ++h)
        if (sweep < op.tilings[h]->sweeps()) most = std::max(most, op.tilings[h]->blocks(sweep));
      const std::int64_t shares = (most + kBlocksInStep - 1) / kBlocksInStep;
#pragma omp parallel for schedule(dynamic) num_threads(threads())
      for (std::int64_t task = 0; task < (end - first) * shares; ++task) {
        Scratch scratch(memory + omp_get_thread_num() * scratch_floats, shape);
        const Head head = forward.head(first + task / shares, task / shares);
        const std::int64_t begin = (shares - 1 - task % shares) * kBlocksInStep;  // late blocks read most: first
        const std::int64_t blocks = sweep < head.tiling.sweeps() ? head.tiling.blocks(sweep) : 0;
        if (begin < blocks)
          forward.blocks(head, sweep, begin, static_cast<int>(std::min<std::int64_t>(kBlocksInStep, blocks - begin)),
                         scratch);
      }
    }
}

}  // namespace longstride
