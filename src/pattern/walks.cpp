// This writes a reduced pattern as plain numbers.
#include "pattern/walks.h"

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

namespace {

// True if no key is a cell of both.
bool apart(const Cells& a, const Cells& b) {
  return a.length == b.length && (a.first + a.count <= b.first || b.first + b.count <= a.first);
}

}  // namespace

Walks walks_of(const Pattern& pattern, std::int64_t n) {
  if (n > kMostWalkedPositions)
    throw_invalid(fmt::format("attention: this device takes at most {} positions, got {}", kMostWalkedPositions, n));
  check_pattern(pattern);
  const Parts parts = reduce(pattern, n);
  const auto number = [](std::int64_t x) { return static_cast<int>(x); };
  Walks walks;
  walks.n = number(n), walks.window = number(parts.window), walks.prefix = number(parts.prefix);
  walks.near = parts.contiguous() || parts.diagonals.empty() ? 1 : 0;
  for (const std::int64_t l : parts.rows) walks.row[walks.rows++] = number(l);
  for (const std::int64_t l : parts.previous_rows) walks.previous_row[walks.previous_rows++] = number(l);
  for (std::size_t s = 0; s < parts.summaries.size(); ++s) {
    const Cells& cells = parts.summaries[s];
    bool is_apart = true;
    for (std::size_t earlier = 0; earlier < s; ++earlier) is_apart = is_apart && apart(parts.summaries[earlier], cells);
    walks.cells[walks.summaries++] = {number(cells.length), number(cells.first), number(cells.count), is_apart};
  }
  for (const Diagonal& diagonal : parts.diagonals) {
    const std::int64_t width = (diagonal.extent + diagonal.step - 1) / diagonal.step;
    walks.residue[walks.residues++] = {number(diagonal.step), number(width), number(diagonal.extent)};
  }
  return walks;
}

}  // namespace longstride
