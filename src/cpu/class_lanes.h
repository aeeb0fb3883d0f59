// Short residue classes of a sequence, kLanes neighbours side by side, a class a lane: what one query reads is computed
// for all of them at once. Rows are read as they lie in memory, and no pair is computed beyond a block of 4 by 4.
//
// Query u of a class reads its keys k with nearest <= u - k < end, both counted along the class. A sweep that comes
// after others continues their sums; it must be the tiling's last.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "cpu/attention_operands.h"
#include "cpu/attention_schedule.h"

namespace longstride::cpu {

// The keys that a block of queries from u on may read, in whole blocks: [first, first + count).
struct BlockKeys {
  int first, count;
  BlockKeys(const LaneClasses& classes, int u) {
    const auto whole = [](std::int64_t k) { return static_cast<int>(k / kLaneBlock * kLaneBlock); };
    const std::int64_t last = u + kLaneBlock - classes.nearest;
    first = whole(std::max<std::int64_t>(0, u - classes.end + 1));
    count = last <= first ? 0 : whole(last - 1) + kLaneBlock - first;
  }
};

// Memory of one thread. A lane matrix holds kLanes floats, or words of bfloat16 pairs, an element.
struct LaneMemory {
  float *keys, *values;  // (rows, words of Dq), (rows, words of Dv or the pairs of rows, Dv)
  float* queries;        // (kLaneBlock, words of Dq)
  float* scores;         // (kLaneBlock, rows)
  float* sums;           // (kLaneBlock, the larger of Dq and Dv)
  // Forward:
  float* value_rows;  // (2, words of Dv)
  float* weights;     // (kLaneBlock, rows) 2^(score - maximum)
  // Backward:
  float* paired_keys;                   // (pairs of rows, Dq)
  float* dout;                          // (kLaneBlock, words of Dv)
  float *paired_queries, *paired_dout;  // (pairs of rows, Dq), (pairs of rows, Dv)
  float *dp, *ds;                       // (kLaneBlock, rows)
  float *p_of_keys, *ds_of_keys;        // (rows, pairs of rows): of a key and queries

  LaneMemory(Slices& slices, std::int64_t rows, std::int64_t Dq, std::int64_t Dv, bool backward) {
    if (rows == 0) return;
    const auto lanes = [&](std::int64_t elements) { return slices.take(elements * kClassesAtOnce); };
    const std::int64_t most = std::max(Dq, Dv), all = (rows + kLaneBlock - 1) / kLaneBlock * kLaneBlock;
    keys = lanes(all * Dq);
    values = lanes(all * (Dv + 1));
    queries = lanes(kLaneBlock * Dq);
    scores = lanes(kLaneBlock * all);
    (backward ? ds : weights) = lanes(kLaneBlock * all);
    sums = lanes(kLaneBlock * (most + 1));
    (backward ? dout : value_rows) = lanes((backward ? kLaneBlock : 2) * (Dv + 1));
    if (!backward) return;
    paired_keys = lanes(all * (Dq + 1));
    paired_queries = lanes(all * (Dq + 1));
    paired_dout = lanes(all * (Dv + 1));
    dp = lanes(kLaneBlock * all);
    p_of_keys = lanes(all * all);
    ds_of_keys = lanes(all * all);
  }
};

// Rows of classes side by side that are wanted soon: one operand after the other.
class LanePrefetch {
 public:
  void clear() { count_ = at_ = left_ = neighbours_ = 0; }
  // Rows [u, end) of the classes, `bytes` of each, where there are such rows.
  void add(const HeadRows& rows, std::int64_t bytes, const LaneClasses& classes, int u, int end) {
    end = std::min(end, classes.rows());
    if (u >= end || !rows) return;
    streams_[count_++] = {rows, bytes, classes, u, end};
    left_ += (end - u) * static_cast<int>(kClassesAtOnce);
  }
  // So that as many calls of issue ask for all of them.
  void spread(int calls) { rows_ = (left_ + calls - 1) / std::max(calls, 1); }
  void issue() {
    for (int i = 0; i < rows_; ++i, --neighbours_, row_ += row_bytes_) {
      if (neighbours_ == 0 && !advance()) return;
      for (std::int64_t byte = 0; byte < bytes_; byte += 64) __builtin_prefetch(row_ + byte, 0, 2);
    }
  }

 private:
  struct Stream {
    HeadRows rows;
    std::int64_t bytes;
    LaneClasses classes;
    int u, end;
  };
  // To the next row of the classes side by side.
  bool advance() {
    while (at_ < count_ && streams_[at_].u == streams_[at_].end) ++at_;
    if (at_ == count_) return false;
    Stream& s = streams_[at_];
    row_ = s.rows.row(s.classes.position(s.u));
    row_bytes_ = s.rows.row_bytes;
    bytes_ = s.bytes;
    neighbours_ = s.classes.lanes(s.u++, static_cast<int>(kClassesAtOnce));
    return true;
  }

  Stream streams_[9];
  int count_ = 0, at_ = 0, left_ = 0, rows_ = 0;
  const char* row_ = nullptr;
  std::int64_t row_bytes_ = 0, bytes_ = 0;
  int neighbours_ = 0;  // from row_ on
};

// As many classes of one head as there are lanes.
struct LaneWork {
  LaneClasses classes;
  int Dq, Dv;
  std::int64_t q_bytes, v_bytes;  // of a row
  float scale;
  bool continues;  // the partial sums of earlier sweeps
  HeadOperands rows;
  LaneMemory memory;
  LanePrefetch* prefetch = nullptr;
};

// For one instruction set and one type. Keys and values come first, then queries, then what is summed over queries.
struct LaneKernels {
  int lanes;
  int product_rows;  // of kLaneBlock, that a product takes at once
  void (*forward_keys)(const LaneWork&);
  void (*forward_queries)(const LaneWork&, int u);  // kLaneBlock rows from u on
  void (*backward_keys)(const LaneWork&);
  void (*backward_queries)(const LaneWork&, int u);
  void (*backward_key_sums)(const LaneWork&, int u);
};

const LaneKernels& lane_kernels(bool bf16);

// The piece-th of an item's pieces, so many classes side by side as there are lanes, of each head in turn.
LaneClasses lane_piece(const AttentionShape& shape, const WorkItem& item, std::int64_t piece, int lanes);

// All rows of `work`; meanwhile the rows are asked for that its thread reads afterwards, those of `next` or nobody's.
void forward_lanes(const LaneKernels& kernels, const LaneWork& work, const LaneWork* next);
void backward_lanes(const LaneKernels& kernels, const LaneWork& work, const LaneWork* next);

// An item, piece by piece. work_of(item, piece): without prefetch. run: forward_lanes or backward_lanes.
template <class Run, class WorkOf>
void run_lanes(const LaneKernels& kernels, const WorkItem& item, const WorkItem* next_item, Run run, WorkOf work_of) {
  const std::int64_t pieces = item.heads * ((item.end - item.begin + kernels.lanes - 1) / kernels.lanes);
  LanePrefetch prefetch;
  LaneWork now = work_of(item, 0);
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    std::optional<LaneWork> next;
    if (piece + 1 < pieces)
      next = work_of(item, piece + 1);
    else if (next_item != nullptr && next_item->kind == Work::lanes)
      next = work_of(*next_item, 0);
    now.prefetch = &prefetch;
    run(kernels, now, next ? &*next : nullptr);
    if (next) now = *next;
  }
}

}  // namespace longstride::cpu
