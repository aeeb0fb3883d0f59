// What attention computes, in which order and on whose behalf, before any number is touched: a list of phases, each a
// list of work items that do not depend on one another. Pure: shapes, tilings and a number of threads, no addresses.
//
// Every pair (i, j) that attends belongs to exactly one item. Sweeps of a head (pattern/tiles.h) come one after the
// other; sums that cross items have an order that does not depend on the number of threads. What does depend on it is
// how many heads go on together between two sweeps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ops/ops.h"
#include "pattern/tiles.h"

namespace longstride::cpu {

inline constexpr int kBlocksInStep = 4;             // of queries, so that keys are packed once for all of them
inline constexpr std::int64_t kClassRows = 1024;    // longer residue classes are read where they lie
inline constexpr std::int64_t kGatheredRows = 256;  // times heads; all that backward holds of them fits the caches
inline constexpr std::int64_t kLaneRows = 1024;     // the same in lanes, where nothing is copied: fewer groups of heads
inline constexpr std::int64_t kClassesAtOnce = 16;  // neighbours: lanes; their numbers of queries share cache lines
inline constexpr int kLaneBlock = 4;                // queries, or keys, of a product in lanes; a multiple of 2
inline constexpr int kMostPieces = 2;               // that a head is cut in
inline constexpr int kMostLaneRows = 128;  // longer classes fill tiles, and their lanes would not fit the caches

// All of an attention but its addresses.
struct AttentionShape {
  std::int64_t B, T, H, Dq, Dv;
  Interval queries;  // positions
  DType type;
  float scale;
  std::vector<const Tiling*> tilings;  // (H)
  int sweeps = 1;                      // of the head that has most

  explicit AttentionShape(const Attention& op);
  std::int64_t heads() const { return B * H; }
  std::int64_t query_rows() const { return queries.end - queries.begin; }
  std::int64_t q_bytes() const { return Dq * size_of(type); }  // of a head's row
  std::int64_t v_bytes() const { return Dv * size_of(type); }
  bool paired_sums() const { return sweeps > 1 && type == DType::bfloat16; }  // partial sums need their lower halves
  bool whole() const { return query_rows() == T; }
  // head: b * H + h.
  const Tiling& tiling(std::int64_t head) const { return *tilings[static_cast<std::size_t>(head % H)]; }
  bool has(std::int64_t head, int sweep) const { return sweep < tiling(head).sweeps(); }
  bool last(std::int64_t head, int sweep) const { return sweep + 1 == tiling(head).sweeps(); }
  std::int64_t class_rows(std::int64_t step) const { return (T + step - 1) / step; }  // of the longest class
  // Of the residue classes that a sweep of this head gathers, or computes in lanes; 0: it does neither.
  std::int64_t class_step(std::int64_t head, int sweep) const;
};

// One residue class: its keys are indices [0, keys), as far as its queries see, and its queries [first, keys).
struct ResidueClass {
  std::int64_t step, r, first, keys;
  Interval blocks;  // of the sweep
  ResidueClass(const AttentionShape& shape, std::int64_t head, int sweep, std::int64_t which);
  std::int64_t position(std::int64_t index) const { return r + index * step; }
};

// The classes r, r + 1, ... of T positions side by side, a class a lane: row u of lane x is position r + x + u * step.
// Query u of a class reads its keys k with nearest <= u - k < end.
struct LaneClasses {
  std::int64_t T, step, r;
  std::int64_t nearest, end;
  int rows() const { return static_cast<int>((T - r + step - 1) / step); }  // of the longest, the first
  int padded_rows() const { return (rows() + kLaneBlock - 1) / kLaneBlock * kLaneBlock; }
  std::int64_t position(int u) const { return r + u * step; }
  // Lanes that have a row u, from 0 on.
  int lanes(int u, int most) const {
    return static_cast<int>(std::clamp<std::int64_t>(std::min(step - r, T - position(u)), 0, most));
  }
};
// The classes from 0 on, where this sweep of a head is computed in lanes: it must be its last.
std::optional<LaneClasses> lane_classes(const AttentionShape& shape, std::int64_t head, int sweep);

enum class Work : std::uint8_t {
  blocks,      // forward: neighbouring blocks of queries of one head, in step
  band,        // backward: the blocks of a head, or of a piece of it; partial sums of keys move with the queries
  all_keys,    // backward: the same, every `stride`-th few blocks; partial sums of all keys
  join_bands,  // backward: keys that two pieces have summed, those just before position `begin`
  add_pieces,  // backward: keys whose partial sums lie in every piece
  gathered,    // residue classes of some neighbouring heads, copied side by side
  lanes        // residue classes of some neighbouring heads, a class a lane
};

// What one thread does at a time.
struct WorkItem {
  Work kind = Work::blocks;
  int sweep = 0;
  std::int64_t group = 0;               // the first of the heads that go on together between sweeps
  std::int64_t head = 0, heads = 1;     // b * H + h of the first, and how many neighbours of one sequence
  std::int64_t begin = 0, end = 0;      // blocks of the sweep, classes, or positions of keys
  std::int64_t stride = kBlocksInStep;  // from some blocks in step to the next
  int piece = -1;                       // of the head, whose memory it uses; -1: that of its thread
};

// Calls visit(first, count) for blocks in step.
template <class Visit>
void each_step(const Interval& blocks, Visit visit, std::int64_t stride = kBlocksInStep) {
  for (std::int64_t b = blocks.begin; b < blocks.end; b += stride)
    visit(b, static_cast<int>(std::min<std::int64_t>(kBlocksInStep, blocks.end - b)));
}

// Work of one kind cut into items of `width`, so that a schedule stays small however long a sequence is.
struct Strip {
  WorkItem all;
  std::int64_t width;
  bool late_first;  // items from the end on: late queries read most
  std::int64_t first_item, items;
};

class Phase {
 public:
  // in_turn: thread t of n takes items t, t + n, ...; else whichever is free takes the next.
  explicit Phase(bool in_turn) : in_turn_(in_turn) {}
  void add(const WorkItem& all, std::int64_t width, bool late_first = false);
  bool in_turn() const { return in_turn_; }
  std::int64_t items() const { return items_; }
  std::int64_t strips() const { return static_cast<std::int64_t>(strips_.size()); }
  WorkItem item(std::int64_t i) const;

 private:
  bool in_turn_;
  std::int64_t items_ = 0;
  std::vector<Strip> strips_;
};

struct Schedule {
  std::vector<Phase> phases;       // one after the other
  std::int64_t together = 0;       // heads that go on together between sweeps
  std::int64_t gathered_rows = 0;  // the most of an item, times heads
  std::int64_t lane_rows = 0;      // of the longest class in lanes
  std::int64_t pieces = 1;         // backward: that a head is cut in where its classes are not gathered
  std::int64_t sum_rows = 0;       // backward: the most keys of an item's partial sums
  std::int64_t edge_rows = 0;      // backward: the most keys that two neighbouring pieces of a band read
};

Schedule forward_schedule(const AttentionShape& shape, int threads);
Schedule backward_schedule(const AttentionShape& shape, int threads);

// Rows of the partial sums of a band: what the queries of one step read, in whole tiles.
std::int64_t band_rows(const Tiling& tiling);

}  // namespace longstride::cpu
