// Residue classes of a sequence, gathered. The rows of a class lie far apart: each is a page of its own, and where the
// step is a power of two all of them fall into one set of the caches. A class is therefore copied side by side, some
// neighbouring heads at once, before its tiles are formed; what is copied is a short sequence whose positions are the
// class's indices.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cpu/attention_rows.h"
#include "ops/ops.h"
#include "pattern/tiles.h"

namespace longstride {

inline constexpr std::int64_t kClassRows = 1024;    // longer classes are read where they lie
inline constexpr std::int64_t kGatheredRows = 256;  // times heads; all that backward holds of them fits the caches
inline constexpr std::int64_t kClassesAtOnce = 16;  // neighbours: their numbers, one a query, share cache lines

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

// What one thread does at a time: classes [begin, end) of some neighbouring heads of one sequence.
struct ClassShare {
  std::int64_t first_head;  // b * H + h
  std::int64_t heads, step, begin, end;
};

inline std::int64_t heads_gathered(const Attention& op, std::int64_t step) {
  return std::clamp<std::int64_t>(kGatheredRows / ((op.T + step - 1) / step), 1, op.H);
}

// Shares of the heads [first, end), b * H + h, that gather classes in this sweep.
inline std::vector<ClassShare> class_shares(const Attention& op, std::int64_t first, std::int64_t end, int sweep) {
  const auto step_of = [&](std::int64_t head) {
    const Tiling& tiling = *op.tilings[head % op.H];
    return sweep < tiling.sweeps() ? gathered_step(tiling, sweep) : 0;
  };
  std::vector<ClassShare> shares;
  for (std::int64_t head = first; head < end;) {
    const std::int64_t step = step_of(head);
    std::int64_t heads = 1;
    if (step > 0) {
      const std::int64_t most = heads_gathered(op, step);
      while (heads < most && head + heads < end && (head + heads) % op.H != 0 && step_of(head + heads) == step) ++heads;
      for (std::int64_t r = 0; r < step; r += kClassesAtOnce)
        shares.push_back({head, heads, step, r, std::min(r + kClassesAtOnce, step)});
    }
    head += heads;
  }
  return shares;
}

// Over all heads and sweeps: the most heads that are gathered together, and the most rows times heads.
struct MostGathered {
  std::int64_t heads = 1, rows = 0;
  explicit MostGathered(const Attention& op) {
    for (std::int64_t h = 0; h < op.H; ++h)
      for (int sweep = 0; sweep < op.tilings[h]->sweeps(); ++sweep) {
        const std::int64_t step = gathered_step(*op.tilings[h], sweep);
        if (step == 0) continue;
        heads = std::max(heads, heads_gathered(op, step));
        rows = std::max(rows, heads_gathered(op, step) * ((op.T + step - 1) / step));
      }
  }
};

// Columns of some neighbouring heads of one sequence, and the memory that their rows of a class are copied to.
struct GatheredMatrix {
  HeadMatrix sequence;
  HeadMatrix rows;
};

// Copies a class's rows of several matrices, row by row, so that columns which are neighbours are read together.
inline void gather(const GatheredMatrix* matrices, int count, const ResidueClass& residue) {
  for (std::int64_t t = 0; t < residue.rows; ++t)
    for (int m = 0; m < count; ++m) {
      const auto& [sequence, rows] = matrices[m];
      std::memcpy(rows.row(t), sequence.row(residue.r + t * residue.step), static_cast<std::size_t>(rows.row_bytes));
    }
}
inline void scatter(const GatheredMatrix* matrices, int count, const ResidueClass& residue) {
  for (std::int64_t t = 0; t < residue.rows; ++t)
    for (int m = 0; m < count; ++m) {
      const auto& [sequence, rows] = matrices[m];
      std::memcpy(sequence.row(residue.r + t * residue.step), rows.row(t), static_cast<std::size_t>(rows.row_bytes));
    }
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
