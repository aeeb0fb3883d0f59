// What the backward pass works in: partial sums of dk and dv, float32, of one thread or one piece of a head at a time,
// and the blocks of queries and keys that are computed just now.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/attention_kernels.h"
#include "cpu/attention_operands.h"
#include "cpu/class_lanes.h"

namespace longstride::cpu {

// Of some keys: of position j in row j mod rows.
struct KeySums {
  float *dk = nullptr, *dv = nullptr;  // (rows, padded(Dq)), (rows, padded(Dv))
  std::int64_t rows = 0, Dq = 0, Dv = 0;

  KeySums() = default;
  KeySums(Slices& memory, std::int64_t count, std::int64_t channels, std::int64_t value_channels)
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

// The partial sums of a thread, or of a piece of a head.
struct PartialSums {
  KeySums keys;
  KeySums before, after;  // of a band: those that the piece before, or the piece after, adds to as well
  KeySums of_class;       // of one head

  PartialSums(Slices& memory, const AttentionShape& shape, const Schedule& schedule)
      : keys(memory, schedule.sum_rows, shape.Dq, shape.Dv),
        before(memory, schedule.edge_rows, shape.Dq, shape.Dv),
        after(memory, schedule.edge_rows, shape.Dq, shape.Dv),
        of_class(memory, std::min(schedule.gathered_rows, kClassRows), shape.Dq, shape.Dv) {}
};

// Memory of one thread, or of a piece of a head: some blocks of queries, the keys that they read next, the classes that
// were gathered, partial sums.
struct BackwardScratch {
  Slices slices;
  LaneMemory lanes;
  ClassCopy copy;
  PartialSums sums;
  BackwardTile tiles[kBlocksInStep];
  float* factor;
  float* query_sums;  // (kTileQueries, Dq)
  Prefetch prefetch;

  BackwardScratch(float* memory, const AttentionShape& shape, const Schedule& schedule)
      : slices(memory),
        lanes(slices, schedule.lane_rows, shape.Dq, shape.Dv, true),
        copy(slices, kBackward, shape, schedule.gathered_rows),
        sums(slices, shape, schedule) {
    float* k = slices.take(padded(shape.Dq) * kTileKeys);
    float* k_pairs = slices.take(padded(shape.Dq) * kTileKeys);
    float* v = slices.take(padded(shape.Dv) * kTileKeys);
    factor = slices.take(kTileQueries);
    query_sums = slices.take(shape.Dq * kTileQueries);
    float* scores = slices.take(kKeyGroup * kTileQueries);
    float* dp = slices.take(kKeyGroup * kTileQueries);
    float* p_rows = slices.take(kTileKeys * kTileQueries);
    float* ds_rows = slices.take(kTileKeys * kTileQueries);
    float* ds_pairs = slices.take(kTileKeys * kTileQueries);
    for (int b = 0; b < kBlocksInStep; ++b) {
      BackwardTile& tile = tiles[b];
      tile.q = slices.take(shape.Dq * kTileQueries);
      tile.dout = slices.take(shape.Dv * kTileQueries);
      tile.q_rows = slices.take(padded(shape.Dq) * kTileQueries);
      tile.dout_rows = slices.take(padded(shape.Dv) * kTileQueries);
      tile.lse = slices.take(kTileQueries);
      tile.delta = slices.take(kTileQueries);
      tile.dq = slices.take(shape.Dq * kTileQueries);
      tile.k = k;
      tile.k_pairs = k_pairs;
      tile.v = v;
      tile.scores = scores;
      tile.dp = dp;
      tile.p_rows = p_rows;
      tile.ds_rows = ds_rows;
      tile.ds_pairs = ds_pairs;
    }
  }
};

}  // namespace longstride::cpu
