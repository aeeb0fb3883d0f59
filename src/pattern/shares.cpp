// This adds up the pairs that attend in each cell of a grid, in closed form.
#include "pattern/shares.h"

#include <algorithm>

#include "pattern/count.h"

namespace longstride {

namespace {
constexpr std::int64_t kQueriesCounted = 16;
}

Shares::Shares(const Pattern& pattern, std::int64_t n, std::int64_t rows, std::int64_t columns)
    : n_(n), rows_(rows), columns_(columns) {
  Pattern first;
  for (const Part& part : pattern.parts) {
    first.parts.push_back(part);
    unions_.push_back(reduce(first, n));
  }
}

CellShare Shares::cell(std::int64_t row, std::int64_t column) const {
  const auto edge = [&](std::int64_t index, std::int64_t cells) {
    return static_cast<std::int64_t>(static_cast<__int128>(n_) * index / cells);
  };
  const std::int64_t i0 = edge(row, rows_), i1 = edge(row + 1, rows_);
  const std::int64_t j0 = edge(column, columns_), j1 = edge(column + 1, columns_);
  CellShare cell;
  cell.causal = j0 < i1;
  if (!cell.causal) return cell;
  const std::int64_t counted = std::min(i1 - i0, kQueriesCounted);
  std::vector<std::int64_t> upto(unions_.size(), 0);
  std::int64_t causal = 0;
  for (std::int64_t s = 0; s < counted; ++s) {
    // Equal slices of the cell's queries, in each another place.
    const std::int64_t begin = i0 + (i1 - i0) * s / counted, size = i0 + (i1 - i0) * (s + 1) / counted - begin;
    const std::int64_t i =
        begin + static_cast<std::int64_t>(static_cast<__int128>(size) * (s * 7 % kQueriesCounted) / kQueriesCounted);
    if (i < j0) continue;
    causal += std::min(j1, i + 1) - j0;
    for (std::size_t p = 0; p < unions_.size(); ++p) upto[p] += count_keys_in(unions_[p], i, j0, j1);
  }
  std::int64_t most = 0;
  for (std::size_t p = 0; p < unions_.size(); ++p) {
    const std::int64_t own = upto[p] - (p > 0 ? upto[p - 1] : 0);
    if (own > most) {
      most = own;
      cell.part = static_cast<int>(p);
    }
  }
  if (causal > 0) cell.share = static_cast<double>(upto.back()) / static_cast<double>(causal);
  return cell;
}

}  // namespace longstride
