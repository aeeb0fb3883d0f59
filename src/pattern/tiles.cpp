// This walks the tiles of each part of a pattern in the order in which kernels take them.
#include "pattern/tiles.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace longstride {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }  // a >= 0, b > 0

// Bits [begin, end) cut to [0, count).
std::uint64_t bits(std::int64_t begin, std::int64_t end, std::int64_t count) {
  begin = std::max<std::int64_t>(begin, 0);
  end = std::min(end, count);
  if (end <= begin) return 0;
  return (~std::uint64_t{0} >> (kTileQueries - (end - begin))) << begin;
}

// Queries of the block [i0, i0 + count) that read key j in the contiguous sweep.
std::uint64_t contiguous_bits(const Parts& parts, std::int64_t i0, std::int64_t count, std::int64_t j) {
  const std::int64_t own = j - i0;  // causal: bits below are of earlier queries
  if (j < parts.prefix) return bits(own, count, count);
  for (const Cells& cells : parts.summaries)
    if (cells.has(j)) return bits(own, count, count);
  std::uint64_t seen = bits(own, own + parts.window, count);
  for (const std::int64_t l : parts.rows) seen |= bits(own, (j / l + 1) * l - i0, count);
  for (const std::int64_t l : parts.previous_rows) {
    const std::int64_t row_end = (j / l + 1) * l - i0;
    seen |= bits(row_end, row_end + l, count);
  }
  return seen;
}

// True if one part alone shows every key of [j0, j1] to every query of [i0, i1], both ends included. May be false
// where several parts do so together.
bool contiguous_whole(const Parts& parts, std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) {
  if (j1 > i0) return false;
  if (i1 - j0 < parts.window || j1 < parts.prefix) return true;
  for (const std::int64_t l : parts.rows)
    if (j0 / l == i1 / l) return true;
  for (const std::int64_t l : parts.previous_rows)
    if (i0 / l == i1 / l && j0 / l == j1 / l && j0 / l + 1 == i0 / l) return true;
  for (const Cells& cells : parts.summaries)
    if (cells.has(j0) && j0 % cells.length - cells.first + (j1 - j0) < cells.count) return true;
  return false;
}

// Marks a tile whose masks are set as whole where they are full. False where it is empty.
bool settle(Tile& tile, std::int64_t queries) {
  std::uint64_t any = 0, all = ~std::uint64_t{0};
  for (std::int64_t t = 0; t < tile.keys.count; ++t) {
    any |= tile.visible[t];
    all &= tile.visible[t];
  }
  tile.whole = all == bits(0, queries, queries);
  return any != 0;
}

}  // namespace

Tiling::Tiling(const Pattern& pattern, std::int64_t n) : pattern_(pattern), n_(n) {
  check_pattern(pattern);
  parts_ = reduce(pattern, n);
  contiguous_ = parts_.contiguous() || parts_.diagonals.empty();
  for (const Diagonal& diagonal : parts_.diagonals) {
    Residue residue;
    residue.step = diagonal.step;
    residue.width = ceil_div(diagonal.extent, diagonal.step);
    residue.window = ceil_div(parts_.window, diagonal.step);
    for (std::size_t earlier = 0; earlier < residues_.size(); ++earlier) {
      const Diagonal& other = parts_.diagonals[earlier];
      residue.diagonals.push_back(
          {other.step / std::gcd(other.step, diagonal.step), ceil_div(other.extent, diagonal.step)});
    }
    residues_.push_back(residue);
  }
}

std::int64_t Tiling::reach() const {
  if (parts_.prefix > 0 || !parts_.summaries.empty() || !parts_.contiguous()) return n_;
  std::int64_t most = parts_.window;
  for (const std::int64_t l : parts_.rows) most = std::max(most, l);
  for (const std::int64_t l : parts_.previous_rows) most = std::max(most, 2 * l);
  return std::min(most, n_);
}

std::optional<Tiling::Distances> Tiling::distances(int sweep) const {
  if (sweep < contiguous_) return std::nullopt;
  const Residue& residue = residues_[sweep - contiguous_];
  const bool by_place =
      parts_.prefix > 0 || !parts_.rows.empty() || !parts_.previous_rows.empty() || !parts_.summaries.empty();
  if (by_place || !residue.diagonals.empty()) return std::nullopt;
  return Distances{residue.step, residue.window, residue.width};
}

namespace {

// How many of each class's positions r + u * step lie in a range: those with u in [begin(r), end(r)). Classes below a
// border have one more in front of it, and r goes through at most three pieces of equal blocks a class.
class ClassQueries {
 public:
  ClassQueries(const Interval& queries, std::int64_t step)
      : queries_(queries),
        step_(step),
        borders_{0, std::min(queries.begin % step, queries.end % step),
                 std::max(queries.begin % step, queries.end % step), step} {}

  std::int64_t begin(std::int64_t r) const { return queries_.begin / step_ + (r < queries_.begin % step_); }
  std::int64_t end(std::int64_t r) const { return queries_.end / step_ + (r < queries_.end % step_); }
  std::int64_t blocks(std::int64_t r) const { return ceil_div(end(r) - begin(r), kTileQueries); }
  // Of all classes below r.
  std::int64_t blocks_before(std::int64_t r) const {
    std::int64_t sum = 0;
    for (int piece = 0; piece < 3 && borders_[piece] < r; ++piece)
      sum += (std::min(r, borders_[piece + 1]) - borders_[piece]) * blocks(borders_[piece]);
    return sum;
  }
  Span block(std::int64_t index) const {
    int piece = 0;
    for (std::int64_t all; piece < 2; ++piece, index -= all) {
      all = blocks_before(borders_[piece + 1]) - blocks_before(borders_[piece]);
      if (index < all) break;
    }
    const std::int64_t a_class = blocks(borders_[piece]), r = borders_[piece] + index / a_class;
    const std::int64_t u0 = begin(r) + index % a_class * kTileQueries;
    return {r + u0 * step_, 1, step_, std::min<std::int64_t>(kTileQueries, end(r) - u0)};
  }

 private:
  Interval queries_;
  std::int64_t step_;
  std::int64_t borders_[4];
};

}  // namespace

std::int64_t Tiling::blocks(int sweep, const Interval& queries) const {
  if (step(sweep) > 0) return ClassQueries(queries, step(sweep)).blocks_before(step(sweep));
  return ceil_div(queries.end, kTileQueries) - queries.begin / kTileQueries;
}

QueryBlock Tiling::block(int sweep, std::int64_t index, const Interval& queries) const {
  if (step(sweep) > 0) return {sweep, ClassQueries(queries, step(sweep)).block(index)};
  const std::int64_t at = (queries.begin / kTileQueries + index) * kTileQueries, begin = std::max(at, queries.begin);
  return {sweep, {begin, kTileQueries, kTileQueries, std::min(at + kTileQueries, queries.end) - begin}};
}

Interval Tiling::class_blocks(int sweep, std::int64_t r, const Interval& queries) const {
  const ClassQueries classes(queries, step(sweep));
  return {classes.blocks_before(r), classes.blocks_before(r + 1)};
}

TileCursor::TileCursor(const Tiling& tiling, const QueryBlock& block)
    : tiling_(&tiling),
      block_(block),
      first_query_(block.queries.begin),
      last_query_(block.queries.at(block.queries.count - 1)) {
  const Parts& parts = tiling.parts_;
  const std::int64_t i0 = first_query_, end = last_query_ + 1;
  if (!tiling.contiguous_ || block.sweep > 0) {
    residue_ = &tiling.residues_[block.sweep - tiling.contiguous_];
    const std::int64_t u0 = i0 / residue_->step;
    ranges_.add(std::max<std::int64_t>(0, u0 - residue_->width + 1), last_query_ / residue_->step + 1);
  } else {
    if (parts.window > 0) near_.add(std::max<std::int64_t>(0, i0 - parts.window + 1), end);
    near_.add(0, std::min(parts.prefix, end));
    for (const std::int64_t l : parts.rows) near_.add(i0 / l * l, end);
    for (const std::int64_t l : parts.previous_rows)
      near_.add(std::max<std::int64_t>(0, i0 / l * l - l), last_query_ / l * l);
    ranges_ = near_;
  }
  if (ranges_.size() > 0) at_ = ranges_[0].begin;
}

// Goes on to the next summary that has cells outside of near_.
bool TileCursor::open_stream() {
  const std::vector<Cells>& summaries = tiling_->parts_.summaries;
  if (residue_ != nullptr) return false;
  while (++stream_ < static_cast<int>(summaries.size())) {
    const Cells& cells = summaries[stream_];
    ranges_ = {};
    near_.each_gap(0, last_query_ + 1,
                   [&](std::int64_t begin, std::int64_t end) { ranges_.add(cells.before(begin), cells.before(end)); });
    range_ = 0;
    if (ranges_.size() == 0) continue;
    at_ = ranges_[0].begin;
    return true;
  }
  --stream_;  // stays past the end however often it is asked
  return false;
}

// Where the tile that holds index `at` of the stream ends.
std::int64_t TileCursor::grid_end(std::int64_t at) const {
  if (stream_ < 0) return (at / kTileKeys + 1) * kTileKeys;
  const std::int64_t run = tiling_->parts_.summaries[stream_].count, inside = at % run;
  if (run > kTileKeys) return at - inside + std::min(run, (inside / kTileKeys + 1) * kTileKeys);
  if (inside != 0) return at - inside + run;  // a span starts with a whole run, or is less than one
  const std::int64_t keys = kTileKeys / run * run;
  return (at / keys + 1) * keys;
}

bool TileCursor::next(Tile& tile) {
  for (;;) {
    if (range_ >= ranges_.size()) {
      if (!open_stream()) return false;
    }
    const std::int64_t begin = at_, end = std::min(ranges_[range_].end, grid_end(begin));
    at_ = end;
    if (end == ranges_[range_].end && ++range_ < ranges_.size()) at_ = ranges_[range_].begin;
    if (fill(begin, end, tile)) return true;
  }
}

bool TileCursor::fill(std::int64_t begin, std::int64_t end, Tile& tile) const {
  if (residue_ != nullptr) return fill_residue(begin, end, tile);
  return stream_ < 0 ? fill_contiguous(begin, end, tile) : fill_cells(begin, end, tile);
}

// Keys are positions [begin, end).
bool TileCursor::fill_contiguous(std::int64_t begin, std::int64_t end, Tile& tile) const {
  const Parts& parts = tiling_->parts_;
  tile.keys = {begin, kTileKeys, kTileKeys, end - begin};
  tile.whole = contiguous_whole(parts, first_query_, last_query_, begin, end - 1);
  if (tile.whole) return true;
  for (std::int64_t t = 0; t < tile.keys.count; ++t)
    tile.visible[t] = contiguous_bits(parts, first_query_, block_.queries.count, begin + t);
  return settle(tile, block_.queries.count);
}

// Keys are gathered cells [begin, end) of the stream's summary; an earlier summary's cells are not this one's.
bool TileCursor::fill_cells(std::int64_t begin, std::int64_t end, Tile& tile) const {
  const std::vector<Cells>& summaries = tiling_->parts_.summaries;
  const Cells& cells = summaries[stream_];
  const bool piece = begin % cells.count != 0;
  tile.keys = {cells.at(begin), piece ? kTileKeys : cells.count, piece ? kTileKeys : cells.length, end - begin};
  tile.whole = cells.at(end - 1) <= first_query_;
  for (int s = 0; s < stream_ && tile.whole; ++s) {
    const Cells& earlier = summaries[s];
    tile.whole = earlier.length == cells.length &&
                 (earlier.first + earlier.count <= cells.first || cells.first + cells.count <= earlier.first);
  }
  if (tile.whole) return true;
  for (std::int64_t t = 0; t < tile.keys.count; ++t) {
    const std::int64_t j = tile.keys.at(t);
    bool taken = false;
    for (int s = 0; s < stream_ && !taken; ++s) taken = summaries[s].has(j);
    tile.visible[t] = taken ? 0 : bits(j - first_query_, block_.queries.count, block_.queries.count);
  }
  return settle(tile, block_.queries.count);
}

namespace {

// Queries r + u * step, u in [u0, u0 + count), whose pair with key r + k * step the contiguous sweep has.
// window: in units of the step.
std::uint64_t earlier_bits(const Parts& parts, const Span& queries, std::int64_t u0, std::int64_t window,
                           std::int64_t j, std::int64_t k) {
  const std::int64_t count = queries.count, own = k - u0, step = queries.step;
  if (j < parts.prefix) return bits(0, count, count);
  for (const Cells& cells : parts.summaries)
    if (cells.has(j)) return bits(0, count, count);
  std::uint64_t seen = bits(own, own + window, count);
  for (const std::int64_t l : parts.rows) {
    const std::int64_t row_end = (j / l + 1) * l;
    seen |= bits(own, own + ceil_div(row_end - j, step), count);
  }
  for (const std::int64_t l : parts.previous_rows) {
    const std::int64_t row_end = (j / l + 1) * l;
    seen |= bits(own + ceil_div(row_end - j, step), own + ceil_div(row_end + l - j, step), count);
  }
  return seen;
}

// True if the contiguous sweep surely has no pair of queries [i0, i1] with keys [j0, j1] of one residue class.
bool untouched(const Parts& parts, std::int64_t step, std::int64_t i0, std::int64_t i1, std::int64_t j0,
               std::int64_t j1) {
  if (i0 - j1 < parts.window || j0 < parts.prefix) return false;
  for (const std::int64_t l : parts.rows)
    if (j1 / l >= i0 / l) return false;
  for (const std::int64_t l : parts.previous_rows)
    if (j1 / l + 1 >= i0 / l && j0 / l + 1 <= i1 / l) return false;
  for (const Cells& cells : parts.summaries)
    if (step % cells.length != 0 || cells.has(j0)) return false;
  return true;
}

}  // namespace

// Keys are the class's positions with index [begin, end).
bool TileCursor::fill_residue(std::int64_t begin, std::int64_t end, Tile& tile) const {
  const Parts& parts = tiling_->parts_;
  const Span& queries = block_.queries;
  const std::int64_t step = residue_->step, u0 = first_query_ / step, u1 = u0 + queries.count - 1;
  tile.keys = {first_query_ % step + begin * step, 1, step, end - begin};
  const std::int64_t last_key = tile.keys.at(tile.keys.count - 1);
  tile.whole = end - 1 <= u0 && u1 - begin < residue_->width &&
               untouched(parts, step, first_query_, last_query_, tile.keys.begin, last_key);
  for (const Diagonal& earlier : residue_->diagonals) tile.whole = tile.whole && u0 - end + 1 >= earlier.extent;
  if (tile.whole) return true;
  for (std::int64_t t = 0; t < tile.keys.count; ++t) {
    const std::int64_t k = begin + t, own = k - u0;
    std::uint64_t taken = earlier_bits(parts, queries, u0, residue_->window, tile.keys.at(t), k);
    for (const Diagonal& earlier : residue_->diagonals) {
      const std::int64_t first = own >= 0 ? own : own + ceil_div(-own, earlier.step) * earlier.step;
      const std::int64_t last = std::min<std::int64_t>(queries.count, own + earlier.extent);
      for (std::int64_t u = first; u < last; u += earlier.step) taken |= std::uint64_t{1} << u;
    }
    tile.visible[t] = bits(own, own + residue_->width, queries.count) & ~taken;
  }
  return settle(tile, queries.count);
}

}  // namespace longstride
