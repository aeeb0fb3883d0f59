// What the backward pass of attention works on: its memory, and the rows of a head, of a sequence or of a residue
// class.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/attention_classes.h"
#include "cpu/attention_kernels.h"
#include "cpu/attention_rows.h"
#include "cpu/attention_tiles.h"
#include "cpu/class_lanes.h"
#include "cpu/threads.h"
#include "ops/ops.h"

namespace longstride {

inline constexpr std::int64_t kPieces = 2;
inline constexpr std::int64_t kFewHeads = 8;
inline constexpr std::int64_t kLongSequence = std::int64_t{1} << 16;  // sums of several such heads are too many
inline constexpr std::int64_t kRowsAtOnce = 256;                      // of the last pass over dk and dv

// Rows of the sums of a band: what the queries of one step read, in whole tiles.
inline std::int64_t band_rows(const Tiling& tiling) {
  return ((tiling.reach() + kTileKeys - 1) / kTileKeys + kBlocksInStep + 1) * kTileKeys;
}

struct BackwardShape {
  std::int64_t heads, T, Dq, Dv, element_bytes;
  std::int64_t pieces;         // that a head is cut in where its classes are not gathered
  std::int64_t together;       // heads whose sweeps go on together
  std::int64_t gathered_rows;  // times heads
  std::int64_t lane_rows;
  std::int64_t sum_rows = 0, edge_rows = 0;
  int sweeps = 1;
  bool paired_sums;  // sums between sweeps need their lower halves

  explicit BackwardShape(const AttentionBackward& op)
      : heads(op.forward.B * op.forward.H),
        T(op.forward.T),
        Dq(op.forward.q.D),
        Dv(op.forward.v.D),
        element_bytes(size_of(op.dq.type)),
        pieces((heads < kFewHeads && heads % 2 == 1) || T >= kLongSequence ? kPieces : 1) {
    const MostGathered most(op.forward);
    gathered_rows = most.rows;
    lane_rows = most.lane_rows;
    for (std::int64_t h = 0; h < op.forward.H; ++h) {
      const Tiling& tiling = *op.forward.tilings[h];
      sweeps = std::max(sweeps, tiling.sweeps());
      for (int sweep = 0; sweep < tiling.sweeps(); ++sweep) {
        if (!by_block(tiling, sweep)) continue;
        sum_rows = std::max(sum_rows, banded(tiling, sweep) ? band_rows(tiling) : T);
        if (pieces > 1 && banded(tiling, sweep)) edge_rows = std::max(edge_rows, tiling.reach());
      }
    }
    together = sweeps == 1 ? heads : std::min(heads, std::max<std::int64_t>(pieces > 1 ? 1 : threads(), most.heads));
    paired_sums = sweeps > 1 && op.dq.type == DType::bfloat16;
  }
  std::int64_t q_bytes() const { return Dq * element_bytes; }
  std::int64_t v_bytes() const { return Dv * element_bytes; }
  std::int64_t low_bytes() const { return paired_sums ? together * T * (2 * q_bytes() + v_bytes()) : 0; }
  std::int64_t memories() const { return std::max<std::int64_t>(threads(), pieces); }
  bool by_block(const Tiling& tiling, int sweep) const {
    return sweep < tiling.sweeps() && gathered_step(tiling, sweep) == 0;
  }
  // True for a sweep whose sums of keys move with the queries.
  bool banded(const Tiling& tiling, int sweep) const {
    return sweep == 0 && tiling.reach() <= T / (2 * pieces) && band_rows(tiling) < T;
  }
};

// Sums of dk and dv of some keys: of position j in row j mod rows.
struct KeySums {
  float *dk = nullptr, *dv = nullptr;  // (rows, padded(Dq)), (rows, padded(Dv))
  std::int64_t rows = 0, Dq = 0, Dv = 0;

  KeySums() = default;
  KeySums(Pieces& memory, std::int64_t count, std::int64_t channels, std::int64_t value_channels)
      : dk(memory.take(count * padded(channels))),
        dv(memory.take(count * padded(value_channels))),
        rows(count),
        Dq(channels),
        Dv(value_channels) {}
  KeySums of_rows(std::int64_t count) const {
    KeySums sums = *this;
    sums.rows = count;
    return sums;
  }
  float* dk_row(std::int64_t j) const { return dk + j % rows * padded(Dq); }
  float* dv_row(std::int64_t j) const { return dv + j % rows * padded(Dv); }
  void clear(std::int64_t first, std::int64_t count) const {
    std::fill_n(dk + first * padded(Dq), count * padded(Dq), 0.0f);
    std::fill_n(dv + first * padded(Dv), count * padded(Dv), 0.0f);
  }
  void set(std::int64_t j, const float* from_dk, const float* from_dv) const {
    std::copy_n(from_dk, Dq, dk_row(j));
    std::copy_n(from_dv, Dv, dv_row(j));
  }
  void add(std::int64_t j, const KeySums& other, std::int64_t i) const {
    float *to_dk = dk_row(j), *to_dv = dv_row(j);
    const float *from_dk = other.dk_row(i), *from_dv = other.dv_row(i);
    for (std::int64_t d = 0; d < Dq; ++d) to_dk[d] += from_dk[d];
    for (std::int64_t d = 0; d < Dv; ++d) to_dv[d] += from_dv[d];
  }
};

// Of a piece: sums of keys that the piece before, or the piece after, adds to as well.
struct Edges {
  KeySums before, after;
};

// One thread's memory: some blocks of queries, the keys that they read next, and the classes that it has gathered.
struct BackwardScratch {
  struct Block {
    float *q, *dout, *q_rows, *dout_rows, *lse, *delta;  // what its tile points to
  };
  BackwardTile tiles[kBlocksInStep];
  Block blocks[kBlocksInStep];
  float *k, *k_pairs, *v, *factor;
  float* query_sums;   // (kTileQueries, Dq)
  KeySums class_sums;  // of one head
  float* class_lse;
  LaneMemory lanes;
  Ahead ahead;
  float* class_rows[11];  // of q, k, v, out, dout, dq, dk, dv, dq_low, dk_low, dv_low: heads side by side

  BackwardScratch(Pieces& pieces, const BackwardShape& shape)
      : lanes(pieces, shape.lane_rows, shape.Dq, shape.Dv, true) {
    k = pieces.take(padded(shape.Dq) * kTileKeys);
    k_pairs = pieces.take(padded(shape.Dq) * kTileKeys);
    v = pieces.take(padded(shape.Dv) * kTileKeys);
    factor = pieces.take(kTileQueries);
    query_sums = pieces.take(shape.Dq * kTileQueries);
    class_sums = {pieces, std::min(shape.gathered_rows, kClassRows), shape.Dq, shape.Dv};
    class_lse = pieces.take(shape.gathered_rows);
    constexpr bool kOfValues[] = {false, false, true, true, true, false, false, true, false, false, true};
    for (int m = 0; m < (shape.paired_sums ? 11 : 8); ++m)
      class_rows[m] = pieces.take_bytes(shape.gathered_rows * (kOfValues[m] ? shape.v_bytes() : shape.q_bytes()));
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
  }
};

// What one thread, or one piece, holds.
struct BackwardMemory {
  Pieces pieces;
  BackwardScratch scratch;
  KeySums sums;
  Edges edges;
  std::int64_t floats;
  BackwardMemory(float* memory, const BackwardShape& shape)
      : pieces(memory),
        scratch(pieces, shape),
        sums(pieces, shape.sum_rows, shape.Dq, shape.Dv),
        edges{{pieces, shape.edge_rows, shape.Dq, shape.Dv}, {pieces, shape.edge_rows, shape.Dq, shape.Dv}},
        floats(pieces.floats()) {}
};

// One head of one sequence, or of one of its residue classes, gathered: then positions are the class's indices.
struct BackwardHead {
  const Tiling* tiling;
  HeadMatrix q, k, v, out, dout;
  HeadMatrix dq, dk, dv;              // before the last sweep: their sums, or the upper halves
  HeadMatrix dq_low, dk_low, dv_low;  // the lower halves
  const float* lse;                   // (positions)
  bool gathered = false;
  Span span(const Span& rows) const { return gathered ? class_span(rows) : rows; }
};

// The matrices of some neighbouring heads, and the memory that their rows of a class are copied to.
struct ClassMatrices {
  GatheredMatrix all[11];
  std::int64_t q_bytes, v_bytes;

  ClassMatrices(const BackwardHead& first, const BackwardScratch& scratch, const BackwardShape& shape,
                std::int64_t heads)
      : q_bytes(shape.q_bytes()), v_bytes(shape.v_bytes()) {
    const HeadMatrix sequence[] = {first.q,  first.k,  first.v,      first.out,    first.dout,  first.dq,
                                   first.dk, first.dv, first.dq_low, first.dk_low, first.dv_low};
    for (int m = 0; m < 11; ++m) all[m] = {sequence[m], {scratch.class_rows[m], heads * bytes(m), bytes(m)}};
  }
  std::int64_t bytes(int m) const { return m == 2 || m == 3 || m == 4 || m == 7 || m == 10 ? v_bytes : q_bytes; }
  void gather(const ResidueClass& residue, bool sums, bool paired) const {
    longstride::gather(all, !sums ? 5 : paired ? 11 : 8, residue);
  }
  void look_ahead(const ResidueClass& next, bool paired, Ahead& ahead) const {
    longstride::look_ahead(all, paired ? 11 : 8, next, ahead);
  }
  void scatter(const ResidueClass& residue, bool paired) const {
    longstride::scatter(all + 5, paired ? 6 : 3, residue);
  }
  BackwardHead head(const Tiling* tiling, std::int64_t h, const float* lse) const {
    const auto rows = [&](int m) { return all[m].rows.head(h); };
    return {tiling,  rows(0), rows(1), rows(2), rows(3),  rows(4), rows(5),
            rows(6), rows(7), rows(8), rows(9), rows(10), lse,     true};
  }
};

}  // namespace longstride
