// A picture of the n x n matrix as a grid of cells, each with the share of its causal pairs that attend, part by part.
#pragma once

#include <cstdint>
#include <vector>

#include "pattern/parts.h"

namespace longstride {

struct CellShare {
  bool causal = false;  // some pair of the cell has j <= i
  int part = -1;        // the first part with most of what attends; -1 where nothing does
  double share = 0;     // of the causal pairs, in [0, 1]; > 0 wherever a counted pair attends
};

// Cells of a grid with `rows` x `columns` cells over [0, n) x [0, n). Where a cell holds more than 16 queries, 16 of
// them are counted, spread so that no usual stride lines up with them.
class Shares {
 public:
  // 1 <= rows, columns <= n.
  Shares(const Pattern& pattern, std::int64_t n, std::int64_t rows, std::int64_t columns);
  CellShare cell(std::int64_t row, std::int64_t column) const;

 private:
  std::int64_t n_, rows_, columns_;
  std::vector<Parts> unions_;  // unions_[p]: of parts 0..p
};

}  // namespace longstride
