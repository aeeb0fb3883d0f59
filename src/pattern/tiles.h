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
#include <vector>

#include "longstride/pattern.h"

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

  int sweeps() const { return static_cast<int>(sweeps_.size()); }  // at least 1
  // Blocks of one sweep; together they hold every query once, also one that reads no key.
  std::int64_t blocks(int sweep) const;
  QueryBlock block(int sweep, std::int64_t index) const;

  const Pattern& pattern() const { return pattern_; }
  std::int64_t length() const { return n_; }

 private:
  friend class TileCursor;
  struct Sweep {
    std::int64_t step = 1;      // residue classes modulo step; 1: contiguous
    std::vector<Part> parts;    // that this sweep has
    std::vector<Part> earlier;  // that earlier sweeps have: masked here
  };
  Pattern pattern_;
  std::int64_t n_;
  std::vector<Sweep> sweeps_;
};

// Walks the tiles of one query block in ascending order of key within each of its intervals and summaries:
//   TileCursor cursor(tiling, block);  while (cursor.next(tile)) ...
// Key spans lie on a grid that does not depend on the query block (multiples of kTileKeys in the position, or in the
// gathered index), so that a kernel may pack a tile's keys once for every block that reads them.
class TileCursor {
 public:
  TileCursor(const Tiling& tiling, const QueryBlock& block);
  bool next(Tile& tile);

 private:
  // Private parts belong to tiles.cpp's author: intervals left, summary at hand, position.
  struct Interval {
    std::int64_t begin, end;
  };
  const Tiling* tiling_;
  QueryBlock block_;
  std::vector<Interval> intervals_;  // merged, ascending; at most one a part
  std::size_t at_ = 0;
  std::int64_t position_ = 0;
};

}  // namespace longstride
