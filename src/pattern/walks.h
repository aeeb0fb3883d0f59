// A pattern for devices whose kernels choose their own tiles: plain numbers, and closed forms that say for a block of
// queries which keys to walk, for a block of keys which queries, and for a query or a key which of 32 neighbours on the
// other side belong to it. Nothing grows with the sequence, and no memory is allocated; kernels include this.
//
// The pairs of a pattern are partitioned into *streams*. The near stream has what windows, rows, previous rows and
// prefixes read; each summary has its cells that are not near; each column or digits has the pairs of its residue
// classes that are in no stream before it. Keys of a stream are numbered in its own order (Places), which makes them
// neighbours: cells are gathered, and a residue class is dense causal attention. Queries are numbered by position in
// the first two kinds of streams and within their class in the last.
#pragma once

#include <cstdint>

#include "longstride/pattern.h"
#include "pattern/parts.h"

namespace longstride {

// Walks have sums of three positions in 32 bits.
inline constexpr std::int64_t kMostWalkedPositions = (std::int64_t{1} << 29) - 1;

// Positions offset + x / run * step + x % run, for x = 0, 1, ...
struct Places {
  int offset = 0, run = 1, step = 1;
  constexpr int at(int x) const { return run == 1 ? offset + x * step : offset + x / run * step + x % run; }
  // How many of them lie below position j: the number of the first that does not.
  constexpr int before(int j) const {
    if (j <= offset) return 0;
    if (step == 1) return j - offset;
    const int inside = (j - offset) % step;
    return (j - offset) / step * run + (inside < run ? inside : run);
  }
};

struct WalkRange {
  int begin = 0, end = 0;  // not included; nothing where end <= begin
};

// Bits [begin, end) of 32.
constexpr std::uint32_t bits_of_range(int begin, int end) {
  begin = begin < 0 ? 0 : begin;
  end = end > 32 ? 32 : end;
  return end <= begin ? 0 : (~std::uint32_t{0} >> (32 - (end - begin))) << begin;
}

// Neighbours x of some Places that are done together, ascending.
struct WalkBlock {
  Places places;
  int begin = 0, count = 0;
  constexpr int first() const { return places.at(begin); }
  constexpr int last() const { return places.at(begin + count - 1); }
};

struct Walks {
  struct Cells {
    int length, first, count;
    bool apart;  // no summary before it has a cell of this one
    constexpr bool has(int j) const { return j % length >= first && j % length - first < count; }
  };
  struct Residue {
    int step, width;  // a class's query u reads its keys k with u - k < width
    int extent;       // the same in positions
  };

  int n = 0, window = 0, prefix = 0;  // as in Parts
  int near = 1;                       // 1: there is a near stream, and it is stream 0
  int rows = 0, previous_rows = 0, summaries = 0, residues = 0;
  int row[kMaxParts] = {}, previous_row[kMaxParts] = {};
  Cells cells[kMaxParts] = {};
  Residue residue[kMaxParts] = {};

  constexpr int streams() const { return near + summaries + residues; }
  constexpr bool is_near(int s) const { return s < near; }
  constexpr bool is_cells(int s) const { return !is_near(s) && s < near + summaries; }
  constexpr const Cells& cells_of(int s) const { return cells[s - near]; }
  constexpr const Residue& residue_of(int s) const { return residue[s - near - summaries]; }

  // Sweeps: what one block of queries walks. Sweep 0 has the near stream and the summaries, where there is a near
  // stream; each residue stream is a sweep of its own.
  constexpr int sweeps() const { return near + residues; }
  constexpr int first_stream(int sweep) const { return sweep < near ? 0 : sweep + summaries; }
  constexpr int end_stream(int sweep) const { return sweep < near ? near + summaries : sweep + summaries + 1; }
  constexpr int step(int s) const { return s < near + summaries ? 1 : residue_of(s).step; }

  // Blocks of queries, or of keys of a stream, up to `size` neighbours each; together they hold every one exactly once.
  // Where there are classes, blocks of one place in their classes stand side by side, and some may be empty.
  constexpr Places queries_of(int s, int r) const { return {r, 1, step(s)}; }
  constexpr Places keys_of(int s, int r) const {
    if (is_cells(s)) return {cells_of(s).first, cells_of(s).count, cells_of(s).length};
    return {r, 1, step(s)};
  }
  // Of the queries of positions [first, end). Later ones come first: they read most.
  constexpr int query_blocks(int sweep, int size, int first, int end) const {
    return blocks_a_class(step(first_stream(sweep)), size, first, end) * step(first_stream(sweep));
  }
  constexpr WalkBlock query_block(int sweep, int size, int first, int end, int index) const {
    const int s = first_stream(sweep), classes = step(s);
    const Places places = queries_of(s, index % classes);
    return block_of(places, size, first, end,
                    first / classes / size + blocks_a_class(classes, size, first, end) - 1 - index / classes);
  }
  // Earlier keys come first: they are read most.
  constexpr int key_blocks(int s, int size) const {
    if (is_cells(s)) return (keys_of(s, 0).before(n) + size - 1) / size;
    return blocks_a_class(step(s), size, 0, n) * step(s);
  }
  constexpr WalkBlock key_block(int s, int size, int index) const {
    return block_of(keys_of(s, index % step(s)), size, 0, n, index / step(s));
  }

  constexpr bool shows_recent() const { return window > 0 || rows > 0; }
  // The first key that a window or a row shows to query i, i + 1 where there is none: it shows all from there to i.
  constexpr int recent(int i) const {
    int first = i - window + 1;
    for (int k = 0; k < rows; ++k) first = smaller(first, i / row[k] * row[k]);
    return first < 0 ? 0 : first;
  }
  // The first query from j on to which no window or row shows key j.
  constexpr int recent_end(int j) const {
    int end = j + window;
    for (int k = 0; k < rows; ++k) end = larger(end, (j / row[k] + 1) * row[k]);
    return end;
  }

  // What a block of queries whose first and last positions are i0 and i1 must walk of stream s, in numbers of the
  // stream's keys: ranges that may overlap. What they hold too much is masked.
  constexpr int key_ranges(int s) const { return is_near(s) ? 2 + previous_rows : 1; }
  constexpr WalkRange key_range(int s, int which, const Places& keys, int i0, int i1) const {
    if (is_near(s)) {
      if (which == 0) return shows_recent() ? WalkRange{recent(i0), i1 + 1} : WalkRange{};
      if (which == 1) return {0, smaller(prefix, i1 + 1)};
      const int l = previous_row[which - 2];
      return {larger(0, i0 / l * l - l), i1 / l * l};
    }
    WalkRange range{keys.before(prefix), keys.before(smaller(i1 + 1, recent(i1)))};
    if (!is_cells(s)) range.begin = larger(range.begin, keys.before(i0) - residue_of(s).width + 1);
    return range;
  }
  // What a block of keys whose first and last positions are j0 and j1 must walk, in numbers of the queries.
  constexpr int query_ranges(int s) const { return key_ranges(s); }
  constexpr WalkRange query_range(int s, int which, const Places& queries, int j0, int j1) const {
    if (is_near(s)) {
      if (which == 0) return shows_recent() ? WalkRange{j0, smaller(n, recent_end(j1))} : WalkRange{};
      if (which == 1) return {j0, j0 < prefix ? n : j0};
      const int l = previous_row[which - 2];
      return {(j0 / l + 1) * l, smaller(n, (j1 / l + 2) * l)};
    }
    if (j1 < prefix) return {};
    WalkRange range{queries.before(larger(j0, recent_end(j0))), queries.before(n)};
    if (!is_cells(s)) range.end = smaller(range.end, queries.before(j1) + residue_of(s).width);
    return range;
  }

  // True if every query of [i0, i1] reads every one of the keys of [j0, j1] in stream s. May be false where several
  // parts show them together.
  constexpr bool whole(int s, const Places& keys, int i0, int i1, int j0, int j1) const {
    if (is_near(s)) return near_whole(i0, i1, j0, j1);
    if (j1 >= recent(i0) || j0 < prefix || looks_at_each(s, keys)) return false;  // recent(i0) <= i0 + 1
    for (int k = 0; k < previous_rows; ++k) {
      const int l = previous_row[k];
      if (j1 >= i0 / l * l - l && j0 < i1 / l * l) return false;
    }
    return is_cells(s) || i1 - j0 < residue_of(s).extent;
  }

  // Bit x: query i reads key x0 + x of the stream.
  constexpr std::uint32_t keys_of_query(int s, const Places& keys, int i, int x0) const {
    const std::uint32_t near_keys = near_keys_of_query(keys, i, x0);
    if (is_near(s)) return near_keys;
    const int begin = is_cells(s) ? 0 : keys.before(i) - residue_of(s).width + 1;
    const std::uint32_t mask = bits_of_range(begin - x0, keys.before(i + 1) - x0) & ~near_keys;
    return looks_at_each(s, keys) ? without(mask, [&](int x) { return taken(s, i, keys.at(x0 + x)); }) : mask;
  }
  // Bit u: query u0 + u reads key j of stream s; of numbers that no query has nothing is said.
  constexpr std::uint32_t queries_of_key(int s, const Places& queries, int j, int u0) const {
    const std::uint32_t near_queries = near_queries_of_key(queries, j, u0);
    if (is_near(s)) return near_queries;
    const int own = queries.before(j), end = is_cells(s) ? queries.before(n) : own + residue_of(s).width;
    const std::uint32_t mask = bits_of_range(own - u0, end - u0) & ~near_queries;
    return looks_at_each(s, queries) ? without(mask, [&](int u) { return taken(s, queries.at(u0 + u), j); }) : mask;
  }

  // Sums of a key that go on from stream to stream are begun by its first one, in the order of `key_stream`: summaries,
  // then near, then the residue streams. True if a stream before the place-th has the key among its blocks.
  constexpr int key_stream(int place) const {
    return place < summaries ? near + place : place == summaries && near ? 0 : place;
  }
  constexpr bool begun_before(int place, int j) const {
    if (place > summaries) return true;
    for (int k = 0; k < summaries && k < place; ++k)
      if (cells[k].has(j)) return true;
    return false;
  }

 private:
  static constexpr int smaller(int a, int b) { return b < a ? b : a; }
  static constexpr int larger(int a, int b) { return a < b ? b : a; }
  static constexpr int blocks_a_class(int classes, int size, int first, int end) {
    return ((end + classes - 1) / classes + size - 1) / size - first / classes / size;
  }
  // Those of the numbers [at * size, at * size + size) whose positions lie in [first, end).
  static constexpr WalkBlock block_of(const Places& places, int size, int first, int end, int at) {
    const int from = larger(places.before(first), at * size), to = smaller(places.before(end), at * size + size);
    return {places, from, larger(0, to - from)};
  }

  constexpr bool near_whole(int i0, int i1, int j0, int j1) const {
    if (j1 > i0) return false;
    if (j0 >= recent(i1) || j1 < prefix) return true;
    for (int k = 0; k < previous_rows; ++k) {
      const int l = previous_row[k];
      if (i0 / l == i1 / l && j0 / l == j1 / l && j0 / l + 1 == i0 / l) return true;
    }
    return false;
  }
  constexpr std::uint32_t near_keys_of_query(const Places& keys, int i, int x0) const {
    const int end = keys.before(i + 1) - x0;
    std::uint32_t mask = bits_of_range(keys.before(recent(i)) - x0, end);
    if (prefix > 0) mask |= bits_of_range(-x0, smaller(keys.before(prefix) - x0, end));
    for (int k = 0; k < previous_rows; ++k) {
      const int begin = i / previous_row[k] * previous_row[k];
      mask |= bits_of_range(keys.before(begin - previous_row[k]) - x0, keys.before(begin) - x0);
    }
    return mask;
  }
  constexpr std::uint32_t near_queries_of_key(const Places& queries, int j, int u0) const {
    const int begin = queries.before(j) - u0;
    std::uint32_t mask = bits_of_range(begin, queries.before(j < prefix ? n : recent_end(j)) - u0);
    for (int k = 0; k < previous_rows; ++k) {
      const int after = (j / previous_row[k] + 1) * previous_row[k];
      mask |= bits_of_range(queries.before(after) - u0, queries.before(after + previous_row[k]) - u0);
    }
    return mask;
  }

  // True if intervals do not tell which pairs of stream s streams before it have (near ones do). places: of either
  // side.
  constexpr bool looks_at_each(int s, const Places& places) const {
    if (is_cells(s)) return !cells_of(s).apart;
    if (s > near + summaries) return true;
    for (int k = 0; k < summaries; ++k)
      if (residue_of(s).step % cells[k].length != 0 || cells[k].has(places.offset)) return true;
    return false;
  }
  // True if another summary or residue stream before s has the pair.
  constexpr bool taken(int s, int i, int j) const {
    for (int k = 0; k < summaries && near + k < s; ++k)
      if (cells[k].has(j)) return true;
    for (int k = 0; near + summaries + k < s; ++k)
      if ((i - j) % residue[k].step == 0 && i - j < residue[k].extent) return true;
    return false;
  }
  template <class Taken>
  static constexpr std::uint32_t without(std::uint32_t mask, const Taken& is_taken) {
    for (int x = 0; x < 32; ++x)
      if ((mask >> x & 1) != 0 && is_taken(x)) mask &= ~(std::uint32_t{1} << x);
    return mask;
  }
};

// pattern: resolved (for_head). Error invalid_argument: n is above kMostWalkedPositions.
Walks walks_of(const Pattern& pattern, std::int64_t n);

// Walks the other side of a block in tiles of up to `size` neighbours: stream by stream, ascending.
struct WalkTile {
  int stream = 0;
  Places places;
  int begin = 0, count = 0;
  bool whole = false;  // it has `size` neighbours, and every pair of it attends
};

// The keys that a block of queries reads in its sweep.
class KeyWalk {
 public:
  constexpr KeyWalk(const Walks& walks, int sweep, const WalkBlock& queries)
      : walks_(&walks),
        r_(queries.places.offset),
        i0_(queries.first()),
        i1_(queries.last()),
        stream_(walks.first_stream(sweep)),
        end_stream_(walks.end_stream(sweep)) {}

  constexpr bool next(WalkTile& tile, int size) {
    for (; stream_ < end_stream_; ++stream_, at_ = 0) {
      const Places keys = walks_->keys_of(stream_, r_);
      int begin = -1, end = 0;  // the first number from at_ on in a range, the end of all ranges
      for (int which = 0; which < walks_->key_ranges(stream_); ++which) {
        const WalkRange range = walks_->key_range(stream_, which, keys, i0_, i1_);
        const int from = at_ < range.begin ? range.begin : at_;
        if (from >= range.end) continue;
        if (begin < 0 || from < begin) begin = from;
        if (range.end > end) end = range.end;
      }
      if (begin < 0) continue;
      at_ = begin + size < end ? begin + size : end;
      tile = {stream_, keys, begin, at_ - begin, false};
      tile.whole = tile.count == size && walks_->whole(stream_, keys, i0_, i1_, keys.at(begin), keys.at(at_ - 1));
      return true;
    }
    return false;
  }

 private:
  const Walks* walks_;
  int r_, i0_, i1_, stream_, end_stream_;
  int at_ = 0;
};

// The queries that read a block of keys of one stream.
class QueryWalk {
 public:
  constexpr QueryWalk(const Walks& walks, int stream, const WalkBlock& keys)
      : walks_(&walks),
        stream_(stream),
        queries_(walks.queries_of(stream, walks.is_cells(stream) ? 0 : keys.places.offset)),
        keys_(keys.places),
        j0_(keys.first()),
        j1_(keys.last()) {}

  constexpr bool next(WalkTile& tile, int size) {
    int begin = -1, end = 0;
    for (int which = 0; which < walks_->query_ranges(stream_); ++which) {
      const WalkRange range = walks_->query_range(stream_, which, queries_, j0_, j1_);
      const int from = at_ < range.begin ? range.begin : at_;
      if (from >= range.end) continue;
      if (begin < 0 || from < begin) begin = from;
      if (range.end > end) end = range.end;
    }
    if (begin < 0) return false;
    at_ = begin + size < end ? begin + size : end;
    tile = {stream_, queries_, begin, at_ - begin, false};
    tile.whole =
        tile.count == size && walks_->whole(stream_, keys_, queries_.at(begin), queries_.at(at_ - 1), j0_, j1_);
    return true;
  }

 private:
  const Walks* walks_;
  int stream_;
  Places queries_, keys_;
  int j0_, j1_;
  int at_ = 0;
};

}  // namespace longstride
