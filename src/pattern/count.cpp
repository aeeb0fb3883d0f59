// How many pairs: inclusion and exclusion over what is left of the parts once their intervals are merged.
#include "pattern/count.h"

#include <algorithm>

#include "pattern/intervals.h"
#include "pattern/runs.h"

namespace longstride {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }  // a >= 0, b > 0

// The intersection of some parts: keys j in [begin, end) with (i - j) mod step = 0 that lie in every one of `cells`
// (of different lengths, the longest first: it has the fewest rows to walk).
struct Intersection {
  std::int64_t step = 1;
  std::int64_t extent = 0;  // i - j below it; 0: without a bound
  std::array<Cells, kMaxParts> cells;
  int sizes = 0;
  bool empty = false;
};

// Cells of `both` in [begin, end) with (i - j) mod step = 0.
std::int64_t count_progression(const Cells* both, std::int64_t i, std::int64_t step, std::int64_t begin,
                               std::int64_t end) {
  const std::int64_t first = ceil_div(i - end + 1, step), last = (i - begin) / step;  // in steps back from i
  if (end <= begin || last < first) return 0;
  const std::int64_t count = last - first + 1;
  if (both == nullptr) return count;
  if (step == 1) return both->before(end) - both->before(begin);
  // j mod l in [a, a + c): floor((j - a) / l) - floor((j - a - c) / l), with l added to keep the numerators positive.
  const std::int64_t lowest = i - last * step, l = both->length, above = lowest - both->first + l;
  return floor_sum(count, l, step, above) - floor_sum(count, l, step, above - both->count);
}

std::int64_t count_intersection(const Cells* cells, int sizes, std::int64_t i, std::int64_t step, std::int64_t begin,
                                std::int64_t end) {
  if (sizes < 2) return count_progression(sizes == 1 ? cells : nullptr, i, step, begin, end);
  std::int64_t sum = 0;
  for (std::int64_t row = begin / cells->length * cells->length; row < end; row += cells->length)
    sum += count_intersection(cells + 1, sizes - 1, i, step, std::max(begin, row + cells->first),
                              std::min(end, row + cells->first + cells->count));
  return sum;
}

void intersect(Intersection& both, const Cells& cells) {
  for (int s = 0; s < both.sizes; ++s) {
    Cells& other = both.cells[s];
    if (other.length != cells.length) continue;
    const std::int64_t end = std::min(other.first + other.count, cells.first + cells.count);
    other.first = std::max(other.first, cells.first);
    other.count = end - other.first;
    both.empty = both.empty || other.count <= 0;
    return;
  }
  int place = both.sizes++;
  for (; place > 0 && both.cells[place - 1].length < cells.length; --place) both.cells[place] = both.cells[place - 1];
  both.cells[place] = cells;
}

void intersect(Intersection& both, const Diagonal& diagonal, std::int64_t n) {
  both.step = common_multiple(both.step, diagonal.step, n);
  both.extent = both.extent == 0 ? diagonal.extent : std::min(both.extent, diagonal.extent);
}

// Keys of summaries and diagonals in [begin, end), each once. end <= i + 1.
std::int64_t count_scattered(const Parts& parts, std::int64_t i, std::int64_t begin, std::int64_t end) {
  const std::size_t summaries = parts.summaries.size(), all = summaries + parts.diagonals.size();
  std::int64_t sum = 0;
  for (unsigned subset = 1; subset < 1u << all; ++subset) {
    Intersection both;
    for (std::size_t p = 0; p < all && !both.empty; ++p) {
      if ((subset >> p & 1) == 0) continue;
      if (p < summaries) {
        intersect(both, parts.summaries[p]);
      } else {
        intersect(both, parts.diagonals[p - summaries], parts.n);
      }
    }
    if (both.empty) continue;
    const std::int64_t from = both.extent == 0 ? begin : std::max(begin, i - both.extent + 1);
    const std::int64_t keys = count_intersection(both.cells.data(), both.sizes, i, both.step, from, end);
    sum += __builtin_popcount(subset) % 2 == 1 ? keys : -keys;
  }
  return sum;
}

// Queries of the diagonals in [begin, end) that read key j, each once. begin >= j.
std::int64_t count_diagonal_queries(const Parts& parts, std::int64_t j, std::int64_t begin, std::int64_t end) {
  std::int64_t sum = 0;
  for (unsigned subset = 1; subset < 1u << parts.diagonals.size(); ++subset) {
    Intersection both;
    for (std::size_t p = 0; p < parts.diagonals.size(); ++p)
      if ((subset >> p & 1) != 0) intersect(both, parts.diagonals[p], parts.n);
    const std::int64_t stop = std::min(end, j + both.extent);
    if (stop <= begin) continue;
    const std::int64_t queries = (stop - 1 - j) / both.step - ceil_div(begin - j, both.step) + 1;
    sum += __builtin_popcount(subset) % 2 == 1 ? queries : -queries;
  }
  return sum;
}

using Wide = __int128;

// Sum over d = 0, step, 2 step, ... below min(extent, n) of n - d: the pairs of one diagonal.
Wide diagonal_pairs(std::int64_t n, std::int64_t step, std::int64_t extent) {
  const Wide count = ceil_div(std::min(extent, n), step);
  return count * n - step * (count * (count - 1) / 2);
}

// Windows and diagonals only: an intersection of some is a diagonal again.
std::int64_t pairs_of_diagonals(const Parts& parts) {
  std::vector<Diagonal> all = parts.diagonals;
  if (parts.window > 0) all.push_back({1, parts.window});
  Wide sum = 0;
  for (unsigned subset = 1; subset < 1u << all.size(); ++subset) {
    Intersection both;
    for (std::size_t p = 0; p < all.size(); ++p)
      if ((subset >> p & 1) != 0) intersect(both, all[p], parts.n);
    const Wide pairs = diagonal_pairs(parts.n, both.step, both.extent);
    sum += __builtin_popcount(subset) % 2 == 1 ? pairs : -pairs;
  }
  return static_cast<std::int64_t>(sum);
}

// The smallest number of positions after which every part repeats, at most n.
std::int64_t period(const Parts& parts) {
  std::int64_t common = 1;
  for (const std::int64_t l : parts.rows) common = common_multiple(common, l, parts.n);
  for (const std::int64_t l : parts.previous_rows) common = common_multiple(common, l, parts.n);
  for (const Cells& cells : parts.summaries) common = common_multiple(common, cells.length, parts.n);
  for (const Diagonal& diagonal : parts.diagonals) common = common_multiple(common, diagonal.step, parts.n);
  return common;
}

// How far after a key its queries may lie, summaries, prefixes and columns aside: only then does the end cut them.
std::int64_t finite_extent(const Parts& parts) {
  std::int64_t extent = parts.window;
  for (const std::int64_t l : parts.rows) extent = std::max(extent, l);
  for (const std::int64_t l : parts.previous_rows) extent = std::max(extent, 2 * l);
  for (const Diagonal& diagonal : parts.diagonals)
    if (diagonal.extent < parts.n) extent = std::max(extent, diagonal.extent);
  return extent;
}

}  // namespace

// The sum splits off whole quotients of step and offset, then swaps the roles of count and divisor as Euclid does.
std::int64_t floor_sum(std::int64_t count, std::int64_t divisor, std::int64_t step, std::int64_t offset) {
  Wide sum = 0, n = count, m = divisor, a = step, b = offset;
  for (;;) {
    sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
    a %= m;
    b %= m;
    const Wide top = a * n + b;
    if (top < m) return static_cast<std::int64_t>(sum);
    n = top / m;
    b = top % m;
    std::swap(m, a);
  }
}

std::int64_t count_keys_in(const Parts& parts, std::int64_t i, std::int64_t begin, std::int64_t end) {
  end = std::min(end, i + 1);
  if (end <= begin) return 0;
  Intervals near;
  const auto add = [&](std::int64_t from, std::int64_t to) { near.add(std::max(from, begin), std::min(to, end)); };
  add(i + 1 - parts.window, i + 1);
  add(0, parts.prefix);
  for (const std::int64_t l : parts.rows) add(i / l * l, i + 1);
  for (const std::int64_t l : parts.previous_rows) add(i / l * l - l, i / l * l);
  std::int64_t sum = near.total();
  if (parts.summaries.empty() && parts.diagonals.empty()) return sum;
  near.each_gap(begin, end, [&](std::int64_t from, std::int64_t to) { sum += count_scattered(parts, i, from, to); });
  return sum;
}

std::int64_t count_queries(const Parts& parts, std::int64_t j) {
  const std::int64_t n = parts.n;
  if (j < parts.prefix) return n - j;
  for (const Cells& cells : parts.summaries)
    if (cells.has(j)) return n - j;
  Intervals near;
  near.add(j, std::min(n, j + parts.window));
  for (const std::int64_t l : parts.rows) near.add(j, std::min(n, (j / l + 1) * l));
  for (const std::int64_t l : parts.previous_rows) near.add((j / l + 1) * l, std::min(n, (j / l + 2) * l));
  std::int64_t sum = near.total();
  if (parts.diagonals.empty()) return sum;
  near.each_gap(j, n, [&](std::int64_t from, std::int64_t to) { sum += count_diagonal_queries(parts, j, from, to); });
  return sum;
}

std::int64_t count_keys(const Pattern& pattern, std::int64_t i) {
  return count_keys_in(reduce(pattern, i + 1), i, 0, i + 1);
}

// Key by key where it must be. From the prefix's end to where the sequence's end first cuts a window or a row, key
// j + P (P the common period) has as many queries as key j, less a number that depends on j mod P only: two periods
// are counted, the others follow.
std::int64_t count_pairs(const Pattern& pattern, std::int64_t n) {
  const Parts parts = reduce(pattern, n);
  if (n <= 0) return 0;
  if (parts.rows.empty() && parts.previous_rows.empty() && parts.summaries.empty() && parts.prefix == 0)
    return pairs_of_diagonals(parts);
  const std::int64_t begin = parts.prefix, P = period(parts);
  const std::int64_t periods = std::max<std::int64_t>(0, n - finite_extent(parts) - begin) / P;
  Wide sum = diagonal_pairs(n, 1, begin);  // the prefix's keys are read by all after them
  std::int64_t rest = begin;
  if (periods > 2) {
    rest = begin + periods * P;
    for (std::int64_t j = begin; j < begin + P; ++j) {
      const Wide first = count_queries(parts, j), less = first - count_queries(parts, j + P);
      sum += first * periods - less * (Wide{periods} * (periods - 1) / 2);
    }
  }
  for (std::int64_t j = rest; j < n; ++j) sum += count_queries(parts, j);
  return static_cast<std::int64_t>(sum);
}

// S_{i+P} has at least as many keys as S_i, P the common period: as many of the prefix, and for every other key j of
// S_i the key j + P. The most are therefore among the last P queries: O(P) work, O(P n / l)
// where summaries of different lengths meet.
std::int64_t max_keys(const Pattern& pattern, std::int64_t n) {
  const Parts parts = reduce(pattern, n);
  std::int64_t most = 0;
  for (std::int64_t i = n - period(parts); i < n; ++i) most = std::max(most, count_keys_in(parts, i, 0, i + 1));
  return most;
}

void list_keys(const Pattern& pattern, std::int64_t i, std::vector<std::int64_t>& keys) {
  RunStreams(reduce(pattern, i + 1), i).walk([&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) keys.push_back(j);
  });
}

}  // namespace longstride
