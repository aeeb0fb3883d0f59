// A pattern as a stream of tiles for attention kernels: a tile is up to 64 queries by up to 64 keys with a mask, and
// every pair (i, j) with attends(pattern, i, j) lies in exactly one tile, no other pair unmasked in any. Closed form:
// nothing here grows with the sequence.
//
// Parts are grouped in *sweeps* by how their queries group best. The contiguous sweep takes runs of neighbouring
// queries (dense, window, row, previous_row, prefix, summary); a residue sweep takes the queries of one residue class
// modulo `step` (column(l): step = l; digits(l,m): step = l^(m-1)), whose keys are the same class, so that a strided
// column becomes dense causal attention over gathered rows. A pair that an earlier sweep has is masked in later ones:
// softmax state carried (or log-sum-exp combined) over the sweeps gives the softmax of the union.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "longstride/pattern.h"
#include "pattern/intervals.h"
#include "pattern/parts.h"

namespace longstride {

inline constexpr int kTileQueries = 64;  // one bit each of a 64-bit mask
inline constexpr int kTileKeys = 64;

// Positions begin + (t / run) * step + t % run for t in [0, count): runs of `run` neighbours, `step` apart.
// A contiguous range has run >= count.
struct Span {
  std::int64_t begin = 0;
  std::int64_t run = 1;
  std::int64_t step = 1;
  std::int64_t count = 0;
  std::int64_t at(std::int64_t t) const { return begin + (t / run) * step + t % run; }
};

struct QueryBlock {
  int sweep = 0;
  Span queries;  // count in [1, kTileQueries], ascending
};

struct Tile {
  Span keys;          // count in [1, kTileKeys], ascending
  bool whole = true;  // every query of the block reads every key; else:
  // visible[t], bit u: query u of the block reads key t (in this sweep). Set only where `whole` is false; bits at and
  // above queries.count are 0. At least one bit of the tile is set.
  std::uint64_t visible[kTileKeys];
};

// pattern: resolved (for_head). n: positions.
class Tiling {
 public:
  Tiling(const Pattern& pattern, std::int64_t n);

  int sweeps() const { return contiguous_ + static_cast<int>(residues_.size()); }  // at least 1
  // Blocks of one sweep; together they hold every query once, also one that reads no key. `queries`: only those of
  // these positions, in [0, length), which may cut a block.
  std::int64_t blocks(int sweep) const { return blocks(sweep, {0, n_}); }
  std::int64_t blocks(int sweep, const Interval& queries) const;
  QueryBlock block(int sweep, std::int64_t index) const { return block(sweep, index, {0, n_}); }
  QueryBlock block(int sweep, std::int64_t index, const Interval& queries) const;

  // Of a residue sweep: the distance of a class's positions, and the indices of the blocks that hold class r's queries,
  // r in [0, step). Of the contiguous sweep the step is 0.
  std::int64_t step(int sweep) const { return sweep < contiguous_ ? 0 : residues_[sweep - contiguous_].step; }
  Interval class_blocks(int sweep, std::int64_t r, const Interval& queries) const;

  // Every key j of a query i in the contiguous sweep has i - j < reach; the length where that is all there is to say.
  std::int64_t reach() const;

  // A residue sweep whose mask depends on the distance alone: query r + u * step reads key r + k * step where nearest
  // <= u - k < end, whatever r. None for other sweeps.
  struct Distances {
    std::int64_t step, nearest, end;
  };
  std::optional<Distances> distances(int sweep) const;

  const Pattern& pattern() const { return pattern_; }
  std::int64_t length() const { return n_; }

 private:
  friend class TileCursor;
  // One residue sweep. Positions of a class are counted in units of its step: query r + u * step, key r + k * step.
  struct Residue {
    std::int64_t step = 1;
    std::int64_t width = 1;           // reads u - k in [0, width)
    std::int64_t window = 0;          // an earlier window has u - k in [0, window)
    std::vector<Diagonal> diagonals;  // earlier residue sweeps, in the same units
  };
  Pattern pattern_;
  std::int64_t n_ = 0;
  Parts parts_;
  bool contiguous_ = true;         // sweep 0 is the contiguous one
  std::vector<Residue> residues_;  // the sweeps after it
};

// Walks the tiles of one query block in ascending order of key within each of its intervals and summaries:
//   TileCursor cursor(tiling, block);  while (cursor.next(tile)) ...
// Key spans lie on a grid that does not depend on the query block, so that a kernel may pack a tile's keys once for
// every block that reads them: multiples of kTileKeys in the position or in the class's index, cut at the ends of what
// the block reads; for a summary as many whole runs of cells as a tile holds, or kTileKeys of a run at a time where one
// run is longer, counted from its first cell.
class TileCursor {
 public:
  TileCursor(const Tiling& tiling, const QueryBlock& block);
  bool next(Tile& tile);

 private:
  bool open_stream();
  std::int64_t grid_end(std::int64_t at) const;
  bool fill(std::int64_t begin, std::int64_t end, Tile& tile) const;
  bool fill_contiguous(std::int64_t begin, std::int64_t end, Tile& tile) const;
  bool fill_cells(std::int64_t begin, std::int64_t end, Tile& tile) const;
  bool fill_residue(std::int64_t begin, std::int64_t end, Tile& tile) const;

  const Tiling* tiling_;
  QueryBlock block_;
  std::int64_t first_query_, last_query_;  // positions
  const Tiling::Residue* residue_ = nullptr;
  Intervals near_;    // contiguous sweep: the positions that windows, rows and prefixes reach from this block
  int stream_ = -1;   // -1: near_, or the residue class; s: cells of summary s outside of near_
  Intervals ranges_;  // what is left to walk of the stream: positions, gathered indices, or class indices
  int range_ = 0;
  std::int64_t at_ = 0;
};

}  // namespace longstride
