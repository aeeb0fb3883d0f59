// Residue classes of a sequence, gathered. The rows of a class lie far apart: each is a page of its own, and where the
// step is a power of two all of them fall into one set of the caches. A class is therefore copied side by side, some
// neighbouring heads at once, before its tiles are formed; what is copied is a short sequence whose positions are the
// class's indices.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "cpu/attention_rows.h"
#include "ops/ops.h"
#include "pattern/tiles.h"

namespace longstride {

inline constexpr std::int64_t kClassRows = 1024;    // longer classes are read where they lie
inline constexpr std::int64_t kGatheredRows = 256;  // times heads; all that backward holds of them fits the caches
inline constexpr std::int64_t kSideRows = 1024;     // the same in lanes, where nothing is copied: fewer groups of heads
inline constexpr std::int64_t kClassesAtOnce = 16;  // neighbours: lanes; their numbers of queries share cache lines

// Of the residue classes that a sweep of this head gathers; 0: it gathers none.
inline std::int64_t gathered_step(const Tiling& tiling, int sweep) {
  const Span queries = tiling.block(sweep, 0).queries;
  const bool classes = queries.run == 1 && (tiling.length() + queries.step - 1) / queries.step <= kClassRows;
  return classes ? queries.step : 0;
}

// Class r of T positions: its rows, and which blocks of queries they are. Classes below T mod step have a row more.
struct ResidueClass {
  std::int64_t step, r, rows, first_block, end_block;
  ResidueClass(std::int64_t T, std::int64_t of_step, std::int64_t which)
      : step(of_step), r(which), rows((T - r + step - 1) / step) {
    const auto blocks = [](std::int64_t count) { return (count + kTileQueries - 1) / kTileQueries; };
    const std::int64_t longer = std::min(r, T % step);
    first_block = longer * blocks(T / step + 1) + (r - longer) * blocks(T / step);
    end_block = first_block + blocks(rows);
  }
};

// Positions of a gathered class: its indices.
inline Span class_span(const Span& rows) { return {rows.begin / rows.step, kTileKeys, kTileKeys, rows.count}; }

inline constexpr int kLaneBlock = 4;       // queries, or keys, of a product in lanes; a multiple of 2
inline constexpr int kMostLaneRows = 128;  // longer classes fill tiles, and their lanes would not fit the caches

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

// The classes from 0 on, where this sweep of a tiling is computed in lanes.
inline std::optional<LaneClasses> lane_classes(const Tiling& tiling, int sweep) {
  if (sweep + 1 != tiling.sweeps()) return std::nullopt;
  const std::optional<Tiling::Distances> distances = tiling.distances(sweep);
  if (!distances || (tiling.length() + distances->step - 1) / distances->step > kMostLaneRows) return std::nullopt;
  return LaneClasses{tiling.length(), distances->step, 0, distances->nearest, distances->end};
}

// What one thread does at a time: classes [begin, end) of some neighbouring heads of one sequence.
struct ClassShare {
  std::int64_t first_head;  // b * H + h
  std::int64_t heads, step, begin, end;
  bool lanes;  // in lanes (cpu/class_lanes.h); else gathered
};

inline std::int64_t heads_gathered(const Attention& op, std::int64_t step, bool lanes) {
  return std::clamp<std::int64_t>((lanes ? kSideRows : kGatheredRows) / ((op.T + step - 1) / step), 1, op.H);
}

// Shares of the heads [first, end), b * H + h, that gather classes in this sweep.
inline std::vector<ClassShare> class_shares(const Attention& op, std::int64_t first, std::int64_t end, int sweep) {
  const auto step_of = [&](std::int64_t head) {
    const Tiling& tiling = *op.tilings[head % op.H];
    return sweep < tiling.sweeps() && op.q.T == op.T ? gathered_step(tiling, sweep) : 0;
  };
  const auto in_lanes = [&](std::int64_t head) { return lane_classes(*op.tilings[head % op.H], sweep).has_value(); };
  std::vector<ClassShare> shares;
  for (std::int64_t head = first; head < end;) {
    const std::int64_t step = step_of(head);
    std::int64_t heads = 1;
    if (step > 0) {
      const bool lanes = in_lanes(head);
      const std::int64_t most = heads_gathered(op, step, lanes);
      while (heads < most && head + heads < end && (head + heads) % op.H != 0 && step_of(head + heads) == step &&
             in_lanes(head + heads) == lanes)
        ++heads;
      for (std::int64_t r = 0; r < step; r += kClassesAtOnce)
        shares.push_back({head, heads, step, r, std::min(r + kClassesAtOnce, step), lanes});
    }
    head += heads;
  }
  return shares;
}

// Over all heads and sweeps: the most heads that are gathered together, the most rows times heads, and the most rows of
// classes in lanes.
struct MostGathered {
  std::int64_t heads = 1, rows = 0, lane_rows = 0;
  explicit MostGathered(const Attention& op) {
    for (std::int64_t h = 0; h < op.H; ++h)
      for (int sweep = 0; sweep < op.tilings[h]->sweeps() && op.q.T == op.T; ++sweep) {
        const std::int64_t step = gathered_step(*op.tilings[h], sweep);
        if (step == 0) continue;
        const std::optional<LaneClasses> classes = lane_classes(*op.tilings[h], sweep);
        const std::int64_t together = heads_gathered(op, step, classes.has_value());
        heads = std::max(heads, together);
        if (classes)
          lane_rows = std::max<std::int64_t>(lane_rows, classes->rows());
        else
          rows = std::max(rows, together * ((op.T + step - 1) / step));
      }
  }
};

// Rows of some neighbouring heads of one sequence, and the memory that those of a class are copied to, side by side.
struct GatheredMatrix {
  HeadMatrix sequence;
  HeadMatrix rows;
  // Calls visit(row of the sequence, row of the memory, bytes): all heads at once where they are neighbours in both.
  template <class Visit>
  void each(std::int64_t position, std::int64_t t, Visit visit) const {
    if (sequence.head_bytes == rows.head_bytes)
      return visit(sequence.row(position), rows.row(t), static_cast<std::size_t>(rows.row_bytes));
    for (std::int64_t byte = 0, h = 0; byte < rows.row_bytes; byte += rows.head_bytes, ++h)
      visit(sequence.head(h).row(position), rows.row(t) + byte, static_cast<std::size_t>(rows.head_bytes));
  }
};

// Copies a class's rows of several matrices, row by row, so that columns which are neighbours are read together.
inline void gather(const GatheredMatrix* matrices, int count, const ResidueClass& residue) {
  for (std::int64_t t = 0; t < residue.rows; ++t)
    for (int m = 0; m < count; ++m)
      matrices[m].each(residue.r + t * residue.step, t,
                       [](const char* from, char* to, std::size_t bytes) { std::memcpy(to, from, bytes); });
}
inline void scatter(const GatheredMatrix* matrices, int count, const ResidueClass& residue) {
  for (std::int64_t t = 0; t < residue.rows; ++t)
    for (int m = 0; m < count; ++m)
      matrices[m].each(residue.r + t * residue.step, t,
                       [](char* to, const char* from, std::size_t bytes) { std::memcpy(to, from, bytes); });
}

inline constexpr std::int64_t kAheadBytes = 256 << 10;  // of the rows that wait in the caches

// The rows of the next class: asked for while this one is computed.
inline void look_ahead(const GatheredMatrix* matrices, int count, const ResidueClass& next, Ahead& ahead) {
  std::int64_t row_bytes = 0;
  for (int m = 0; m < count; ++m) {
    const auto& [sequence, rows] = matrices[m];
    ahead.matrices[m] = {sequence.row(next.r), next.step * sequence.row_bytes, rows.row_bytes};
    row_bytes += rows.row_bytes;
  }
  ahead.count = count;
  ahead.left = next.rows * row_bytes <= kAheadBytes ? next.rows : 0;
}

}  // namespace longstride
