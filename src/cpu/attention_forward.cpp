// The forward pass, parallel over blocks of queries. Each block is computed by one thread in one order, so that results
// do not depend on threads. A pattern of several sweeps continues the softmax of the sweep before: out and lse of what
// was read so far count as one more key, with score lse and value out.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/attention_classes.h"
#include "cpu/attention_kernels.h"
#include "cpu/attention_rows.h"
#include "cpu/attention_tiles.h"
#include "cpu/class_lanes.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

#define LONGSTRIDE_KERNELS "cpu/attention_forward.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

struct Shape {
  Interval queries;  // positions
  std::int64_t H, Dq, Dv, element_bytes, gathered_rows, gathered_heads, lane_rows;
  bool paired_sums;  // sums between sweeps need their lower halves
  int sweeps = 1;
  explicit Shape(const Attention& op)
      : queries{op.first, op.first + op.q.T}, H(op.H), Dq(op.q.D), Dv(op.v.D), element_bytes(size_of(op.out.type)) {
    const MostGathered most(op);
    gathered_rows = most.rows;
    gathered_heads = most.heads;
    lane_rows = most.lane_rows;
    for (std::int64_t h = 0; h < op.H; ++h) sweeps = std::max(sweeps, op.tilings[h]->sweeps());
    paired_sums = sweeps > 1 && op.out.type == DType::bfloat16;
  }
  std::int64_t q_bytes() const { return Dq * element_bytes; }  // of a head's row
  std::int64_t v_bytes() const { return Dv * element_bytes; }
};

// One thread's memory: some blocks of queries, the keys that they read next, and the classes that it has gathered.
struct Scratch {
  ForwardTile tiles[kBlocksInStep];
  float* q[kBlocksInStep];  // what the tiles' q points to
  float *k, *v, *factor, *lse;
  float* sums;  // (kTileQueries, Dv)
  Ahead ahead;
  float *class_q, *class_k, *class_v, *class_out, *class_low, *class_lse;  // (rows, heads of them side by side)
  Pieces pieces;
  LaneMemory lanes;
  std::int64_t floats;

  Scratch(float* memory, const Shape& shape)
      : pieces(memory), lanes(pieces, shape.lane_rows, shape.Dq, shape.Dv, false) {
    k = pieces.take(kTileKeys * padded(shape.Dq));
    v = pieces.take(kTileKeys * padded(shape.Dv));
    factor = pieces.take(kTileQueries);
    lse = pieces.take(kTileQueries);
    sums = pieces.take(kTileQueries * shape.Dv);
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
    class_q = pieces.take_bytes(shape.gathered_rows * shape.q_bytes());
    class_k = pieces.take_bytes(shape.gathered_rows * shape.q_bytes());
    class_v = pieces.take_bytes(shape.gathered_rows * shape.v_bytes());
    class_out = pieces.take_bytes(shape.gathered_rows * shape.v_bytes());
    class_low = pieces.take_bytes(shape.paired_sums ? shape.gathered_rows * shape.v_bytes() : 0);
    class_lse = pieces.take(shape.gathered_rows);
    floats = pieces.floats();
  }
};

// One head of one sequence, or of one of its residue classes, gathered: then positions are the class's indices.
struct Head {
  const Tiling* tiling;
  HeadMatrix q, k, v;
  HeadMatrix out;         // before the last sweep: the upper halves of its sums, or the sums where out is float32
  HeadMatrix low;         // the lower halves
  float* lse;             // (positions)
  std::int64_t step = 0;  // of the class
  Span span(const Span& rows) const { return step == 0 ? rows : class_span(rows); }
};

class Forward {
 public:
  Forward(const Attention& op, const Shape& shape, float* lows)
      : op_(op),
        shape_(shape),
        kernels_(LONGSTRIDE_CHOOSE(kForwardKernels)[op.q.type == DType::bfloat16]),
        lows_(lows) {}

  // Heads [first, ...) of those that go on together, of which this is one.
  Head head(std::int64_t bh, std::int64_t first, std::int64_t together) const {
    const std::int64_t b = bh / op_.H, h = bh % op_.H;
    Head head{op_.tilings[h],
              {op_.q, b, h, op_.first},
              {op_.k, b, h},
              {op_.v, b, h},
              {op_.out, b, h, op_.first},
              {},
              op_.lse.data + bh * op_.q.T - op_.first};
    if (!shape_.paired_sums) return head;
    const std::int64_t Dv = shape_.Dv, row = together * Dv;
    head.low = {Heads{lows_, op_.out.type, 1, op_.q.T, together, Dv, 0, row, Dv}, 0, bh - first, op_.first};
    return head;
  }

  // Blocks [first, first + count) of a sweep, in step.
  void blocks(const Head& head, int sweep, std::int64_t first, int count, Scratch& scratch) const {
    QueryBlock in_step[kBlocksInStep];
    for (int b = 0; b < count; ++b) {
      in_step[b] = head.tiling->block(sweep, first + b, shape_.queries);
      begin(head, in_step[b], scratch, b, false);
    }
    read(head, in_step, count, 0, scratch);
    for (int b = 0; b < count; ++b) {
      const QueryBlock& block = in_step[b];
      if (end(head, block, scratch, b)) continue;
      begin(head, block, scratch, b, true);  // the exact way: what is not finite may be none of these queries' business
      read(head, &block, 1, b, scratch);
      end(head, block, scratch, b);
    }
  }

  // While the blocks from `now` on are computed: asks for what they write, and for what those from `next` on read.
  void look_ahead(const Head& head, std::int64_t now, std::int64_t next, Scratch& scratch) const {
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes();
    const std::int64_t first = shape_.queries.begin / kTileQueries;
    const std::int64_t read = (first + next) * kTileQueries, written = (first + now) * kTileQueries;
    longstride::look_ahead({{head.q, q_bytes, read},
                            {head.k, q_bytes, read},
                            {head.v, v_bytes, read},
                            {head.out, v_bytes, written},
                            {head.low, v_bytes, written}},
                           std::min<std::int64_t>(kBlocksInStep * kTileQueries, shape_.queries.end - written),
                           scratch.ahead);
  }

  // One residue class of `heads` heads from bh on, the first of which is `first`. more: the next class comes after it.
  void residue(const Head& first, std::int64_t bh, std::int64_t heads, const ResidueClass& residue, bool more,
               int sweep, Scratch& scratch) const {
    const std::int64_t q_bytes = shape_.q_bytes(), v_bytes = shape_.v_bytes();
    const GatheredMatrix matrices[] = {{first.q, {scratch.class_q, heads * q_bytes, q_bytes}},
                                       {first.k, {scratch.class_k, heads * q_bytes, q_bytes}},
                                       {first.v, {scratch.class_v, heads * v_bytes, v_bytes}},
                                       {first.out, {scratch.class_out, heads * v_bytes, v_bytes}},
                                       {first.low, {scratch.class_low, heads * v_bytes, v_bytes}}};
    gather(matrices, sweep == 0 ? 3 : shape_.paired_sums ? 5 : 4, residue);
    scratch.ahead.left = 0;
    if (more) {
      const ResidueClass next(op_.T, residue.step, residue.r + 1);
      longstride::look_ahead(matrices, shape_.paired_sums ? 5 : 4, next, scratch.ahead);
    }
    bool last = true;
    for (std::int64_t h = 0; h < heads; ++h) {
      const Head head{
          op_.tilings[(bh + h) % op_.H], matrices[0].rows.head(h), matrices[1].rows.head(h), matrices[2].rows.head(h),
          matrices[3].rows.head(h),      matrices[4].rows.head(h), scratch.class_lse,        residue.step};
      float* lse = first.lse + h * op_.T + residue.r;
      for (std::int64_t t = 0; t < residue.rows && sweep > 0; ++t) head.lse[t] = lse[t * residue.step];
      for (std::int64_t b = residue.first_block; b < residue.end_block; b += kBlocksInStep)
        blocks(head, sweep, b, static_cast<int>(std::min<std::int64_t>(kBlocksInStep, residue.end_block - b)), scratch);
      for (std::int64_t t = 0; t < residue.rows; ++t) lse[t * residue.step] = head.lse[t];
      last = last && sweep + 1 == head.tiling->sweeps();
    }
    scatter(matrices + 3, !last && shape_.paired_sums ? 2 : 1, residue);
  }

  // The piece-th of a share: a head's classes, a class a lane. head: of sequence and head bh.
  LaneForward lane_piece(const ClassShare& share, std::int64_t piece, std::int64_t first, std::int64_t together,
                         int sweep, const Scratch& scratch) const {
    const std::int64_t bh = share.first_head + piece % share.heads;
    const Head head = this->head(bh, first, together);
    return {piece_classes(share, piece, *head.tiling, sweep),
            static_cast<int>(shape_.Dq),
            static_cast<int>(shape_.Dv),
            op_.scale * kLog2e,
            sweep > 0,
            head.q,
            head.k,
            head.v,
            head.out,
            head.low,
            head.lse,
            scratch.lanes};
  }

 private:
  void begin(const Head& head, const QueryBlock& block, Scratch& scratch, int b, bool exact) const {
    const char* rows[kTileQueries];
    const Span queries = head.span(block.queries);
    scratch.ahead.fetch();
    head.q.rows(queries, rows);
    ForwardTile& tile = scratch.tiles[b];
    const int count = static_cast<int>(queries.count), lanes = kernels_.rows.vector_lanes;
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
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      float* sums = scratch.sums + u * shape_.Dv;
      rows[u] = reinterpret_cast<const char*>(sums);
      kernels_.rows.load_sums(head.out.row(i), head.low.row(i), tile.Dv, sums);
      if (head.lse[i] == -INFINITY) return;
      tile.maximum[u] = head.lse[i] * kLog2e;
      tile.sum[u] = 1;
    });
    kernels_.rows.pack_float_lanes(rows, count, tile.Dv, tile.out);
  }

  // slot: of the first block's memory.
  void read(const Head& head, const QueryBlock* in_step, int count, int slot, Scratch& scratch) const {
    const char* rows[kTileKeys];
    for (TilesInStep tiles(*head.tiling, in_step, count); tiles.next();) {
      const int keys = static_cast<int>(tiles.keys().count);
      const Span span = head.span(tiles.keys());
      head.k.rows(span, rows);
      kernels_.rows.pack_rows(rows, keys, static_cast<int>(shape_.Dq), scratch.k);
      scratch.ahead.fetch();
      head.v.rows(span, rows);
      kernels_.rows.pack_pairs(rows, keys, static_cast<int>(shape_.Dv), scratch.v);
      for (int b = 0; b < count; ++b) {
        if (!tiles.reads(b)) continue;
        ForwardTile& tile = scratch.tiles[slot + b];
        tile.ahead = &scratch.ahead;
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
    const Span queries = head.span(block.queries);
    const int count = static_cast<int>(queries.count);
    const bool last = block.sweep + 1 == head.tiling->sweeps();
    scratch.ahead.fetch();
    head.out.rows(queries, to);
    for (std::int64_t u = 0; u < count && !last; ++u) to[u] = reinterpret_cast<char*>(scratch.sums + u * shape_.Dv);
    const bool finite = kernels_.rows.unpack_lanes(tile.out, scratch.factor, count, tile.Dv, to, !last);
    each_position(queries, [&](std::int64_t u, std::int64_t i) {
      if (!last) kernels_.rows.store_sums(scratch.sums + u * shape_.Dv, tile.Dv, head.out.row(i), head.low.row(i));
      head.lse[i] = scratch.lse[u];
    });
    return finite;
  }

  const Attention& op_;
  const Shape& shape_;
  const ForwardKernels& kernels_;
  float* lows_;
};

// Heads whose sweeps go on together: blocks enough for the threads, and as many as classes are gathered for.
std::int64_t heads_together(const Attention& op, const Shape& shape) {
  const std::int64_t heads = op.B * op.H, blocks = 8 * threads() * kTileQueries;
  if (shape.sweeps == 1) return heads;
  return std::min(heads, std::max<std::int64_t>(shape.gathered_heads, (blocks + op.q.T - 1) / op.q.T));
}

// A sweep of the heads [first, end), block by block.
void forward_blocks(const Attention& op, const Forward& forward, std::int64_t first, std::int64_t end,
                    std::int64_t together, int sweep, const Shape& shape, float* memory) {
  const auto blocks_of = [&](std::int64_t bh) -> std::int64_t {
    const Tiling& tiling = *op.tilings[bh % op.H];
    if (sweep >= tiling.sweeps() || (op.q.T == op.T && gathered_step(tiling, sweep) > 0)) return 0;
    return tiling.blocks(sweep, shape.queries);
  };
  std::int64_t most = 0;
  for (std::int64_t bh = first; bh < end; ++bh) most = std::max(most, blocks_of(bh));
  const std::int64_t shares = (most + kBlocksInStep - 1) / kBlocksInStep;
  const std::int64_t scratch_floats = Scratch(nullptr, shape).floats;
#pragma omp parallel for schedule(dynamic) num_threads(threads())
  for (std::int64_t task = 0; task < (end - first) * shares; ++task) {
    Scratch scratch(memory + omp_get_thread_num() * scratch_floats, shape);
    const std::int64_t bh = first + task / shares, blocks = blocks_of(bh);
    const std::int64_t begin = (shares - 1 - task % shares) * kBlocksInStep;  // late blocks read most: first
    if (begin >= blocks) continue;
    const Head head = forward.head(bh, first, together);
    forward.look_ahead(head, begin, begin - kBlocksInStep * threads(), scratch);  // what this thread likely does next
    forward.blocks(head, sweep, begin, static_cast<int>(std::min<std::int64_t>(kBlocksInStep, blocks - begin)),
                   scratch);
  }
}

// A sweep of those of the heads [first, end) that gather classes.
void forward_classes(const Attention& op, const Forward& forward, std::int64_t first, std::int64_t end,
                     std::int64_t together, int sweep, const Shape& shape, float* memory) {
  const std::vector<ClassShare> shares = class_shares(op, first, end, sweep);
  const std::int64_t scratch_floats = Scratch(nullptr, shape).floats;
  const LaneKernels& kernels = lane_kernels(op.q.type == DType::bfloat16);
#pragma omp parallel for schedule(static, 1) num_threads(threads())
  for (std::size_t s = 0; s < shares.size(); ++s) {
    const ClassShare& share = shares[s];
    Scratch scratch(memory + omp_get_thread_num() * scratch_floats, shape);
    if (share.lanes) {
      run_lanes(kernels.lanes, kernels.forward, shares, s, [&](const ClassShare& of, std::int64_t piece) {
        return forward.lane_piece(of, piece, first, together, sweep, scratch);
      });
      continue;
    }
    const Head head = forward.head(share.first_head, first, together);
    for (std::int64_t r = share.begin; r < share.end; ++r)
      forward.residue(head, share.first_head, share.heads, ResidueClass(op.T, share.step, r), r + 1 < share.end, sweep,
                      scratch);
  }
}

}  // namespace

std::int64_t attention_workspace_bytes(const Attention& op) {
  const Shape shape(op);
  std::int64_t bytes = threads() * Scratch(nullptr, shape).floats * static_cast<std::int64_t>(sizeof(float));
  if (shape.paired_sums) bytes += heads_together(op, shape) * op.q.T * shape.v_bytes();
  return Workspace::rounded(bytes);
}

void attention_forward(const Attention& op, Workspace& workspace) {
  const Shape shape(op);
  const Workspace::Scope scope(workspace);
  float* memory = static_cast<float*>(workspace.take(attention_workspace_bytes(op)));
  const Forward forward(op, shape, memory + threads() * Scratch(nullptr, shape).floats);
  const std::int64_t heads = op.B * op.H, together = heads_together(op, shape);
  for (std::int64_t first = 0; first < heads; first += together)
    for (int sweep = 0; sweep < shape.sweeps; ++sweep) {
      const std::int64_t end = std::min(first + together, heads);
      forward_blocks(op, forward, first, end, together, sweep, shape, memory);
      forward_classes(op, forward, first, end, together, sweep, shape, memory);
    }
}

}  // namespace longstride
