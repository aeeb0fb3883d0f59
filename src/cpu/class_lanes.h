// Short residue classes of a sequence, kLanes neighbours side by side, a class a lane: what one query reads is computed
// for all of them at once. Rows are read as they lie in memory, and no pair is computed beyond a block of 4 by 4.
//
// Query u of a class reads its keys k with nearest <= u - k < end, both counted along the class. A sweep that comes
// after others continues their sums; it must be the tiling's last.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/attention_classes.h"
#include "cpu/attention_kernels.h"
#include "cpu/attention_rows.h"
#include "cpu/threads.h"

namespace longstride {

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
  float *keys, *values;             // (rows, words of Dq), (rows, words of Dv or the pairs of rows, Dv)
  float* paired_keys;               // (pairs of rows, Dq)
  float *queries, *douts;           // (kLaneBlock, words of Dq), (kLaneBlock, words of Dv); forward: two rows of values
  float *all_queries, *all_douts;   // (pairs of rows, Dq), (pairs of rows, Dv)
  float *scores, *dweights;         // (kLaneBlock, rows)
  float* weights;                   // (kLaneBlock, rows)
  float *all_weights, *all_scores;  // (rows, pairs of rows): P and dS of key and queries
  float* sums;                      // (kLaneBlock, the larger of Dq and Dv)

  LaneMemory(Pieces& pieces, std::int64_t rows, std::int64_t Dq, std::int64_t Dv, bool backward) {
    if (rows == 0) return;
    const auto lanes = [&](std::int64_t elements) { return pieces.take(elements * kClassesAtOnce); };
    const std::int64_t most = std::max(Dq, Dv), all = (rows + kLaneBlock - 1) / kLaneBlock * kLaneBlock;
    keys = lanes(all * Dq);
    values = lanes(all * (Dv + 1));
    queries = lanes(kLaneBlock * Dq);
    scores = lanes(kLaneBlock * all);
    weights = lanes(kLaneBlock * all);
    sums = lanes(kLaneBlock * (most + 1));
    douts = lanes((backward ? kLaneBlock : 2) * (Dv + 1));
    if (!backward) return;
    paired_keys = lanes(all * (Dq + 1));
    all_queries = lanes(all * (Dq + 1));
    all_douts = lanes(all * (Dv + 1));
    dweights = lanes(kLaneBlock * all);
    all_weights = lanes(all * all);
    all_scores = lanes(all * all);
  }
};

// Rows that are wanted soon: the products ask for them between their blocks, so that memory works while they compute.
class LaneAhead {
 public:
  void clear() { count_ = at_ = left_ = neighbours_ = 0; }
  // Rows [u, end) of the classes, `bytes` of each.
  void add(const HeadMatrix& rows, std::int64_t bytes, const LaneClasses& classes, int u, int end) {
    end = std::min(end, classes.rows());
    if (u >= end) return;
    streams_[count_++] = {rows, bytes, classes, u, end};
    left_ += (end - u) * static_cast<int>(kClassesAtOnce);
  }
  // So that as many calls of fetch ask for all of them.
  void spread(int calls) { rows_ = (left_ + calls - 1) / std::max(calls, 1); }
  void fetch() {
    for (int i = 0; i < rows_; ++i, --neighbours_, row_ += row_bytes_) {
      if (neighbours_ == 0 && !advance()) return;
      for (std::int64_t byte = 0; byte < bytes_; byte += 64) __builtin_prefetch(row_ + byte, 0, 2);
    }
  }

 private:
  struct Stream {
    HeadMatrix rows;
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

struct LaneForward {
  LaneClasses classes;
  int Dq, Dv;
  float scale;  // with log2(e)
  bool continues;
  HeadMatrix q, k, v, out, low;  // out: before, where it continues, the upper halves of its sums; low: the lower ones
  float* lse;                    // (T)
  LaneMemory memory;
  LaneAhead* ahead = nullptr;
  const LaneForward* next = nullptr;  // what this thread computes afterwards, or nullptr
};

struct LaneBackward {
  LaneClasses classes;
  int Dq, Dv;
  float scale;  // of scores
  bool continues;
  HeadMatrix q, k, v, out, dout, dq, dk, dv, dq_low, dk_low, dv_low;
  const float* lse;
  LaneMemory memory;
  LaneAhead* ahead = nullptr;
  const LaneBackward* next = nullptr;
};

struct LaneKernels {
  int lanes;
  void (*forward)(const LaneForward&);  // kLanes classes
  void (*backward)(const LaneBackward&);
};

const LaneKernels& lane_kernels(bool bf16);

// The classes of a share's piece-th piece: so many side by side as there are lanes, of each head in turn.
inline LaneClasses piece_classes(const ClassShare& share, std::int64_t piece, const Tiling& tiling, int sweep) {
  LaneClasses classes = *lane_classes(tiling, sweep);
  classes.r = share.begin + piece / share.heads * lane_kernels(false).lanes;  // lanes are the same for either type
  return classes;
}

// Computes shares[s], `lanes` classes of a head at a time; its thread goes on with every threads()-th share, whose rows
// are asked for meanwhile. piece(share, p): the p-th of a share's pieces, without ahead and next.
template <class Operation, class Piece>
void run_lanes(int lanes, void (*kernel)(const Operation&), const std::vector<ClassShare>& shares, std::size_t s,
               Piece piece) {
  const ClassShare& share = shares[s];
  const std::size_t after = s + static_cast<std::size_t>(threads());
  const std::int64_t pieces = share.heads * ((share.end - share.begin + lanes - 1) / lanes);
  LaneAhead ahead;
  Operation now = piece(share, 0);
  for (std::int64_t p = 0; p < pieces; ++p) {
    std::optional<Operation> next;
    if (p + 1 < pieces)
      next = piece(share, p + 1);
    else if (after < shares.size() && shares[after].lanes)
      next = piece(shares[after], 0);
    now.ahead = &ahead;
    now.next = next ? &*next : nullptr;
    kernel(now);
    if (next) now = *next;
  }
}

}  // namespace longstride
