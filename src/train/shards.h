// Which of the parameters' elements each process moves, and in which pieces gradients go to their owners: pure, from
// the table of parameters and the number of processes. Ours; the idea is that of sharded optimisers (Rajbhandari et al.
// 2020, ZeRO, stage 2).
//
// Segments follow one another from the end of the store to its beginning, in the order in which the backward pass
// leaves gradients final. Each is cut into one piece a process at chunks of kSquareSumsChunk, so that sums of squares
// do not depend on the cuts. What a process moves ends with rows where rows are moved as wholes; tables of such rows
// lie in the last segment.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/parameters.h"

namespace longstride {

struct ElementRange {
  std::int64_t begin = 0, end = 0;  // elements of the store
  std::int64_t size() const { return end - begin; }
  bool operator==(const ElementRange&) const = default;
};

// What both have; of size 0 where that is nothing.
inline ElementRange intersection(const ElementRange& a, const ElementRange& b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

class Shards {
 public:
  Shards(const ParameterTable& table, int processes);

  int processes() const { return processes_; }
  int segments() const { return static_cast<int>(bounds_.size()) - 1; }

  // Final when the mark of the same number is passed (ops/ops.h, Mark::What::gradient_final).
  ElementRange segment(int s) const { return {bounds_[at(s) + 1], bounds_[at(s)]}; }
  // Whose chunks' sums of squares process p adds. Chunks of the segment; may be none.
  ElementRange summed(int s, int p) const { return {cut(s, p), cut(s, p + 1)}; }
  // What it moves. Over all segments and processes: every element once.
  ElementRange moved(int s, int p) const { return {row_end(cut(s, p)), row_end(cut(s, p + 1))}; }
  // Whose gradients it needs for both.
  ElementRange needed(int s, int p) const;

  // The tables that move by rows, where they are as large as one another and follow one another without a gap.
  struct Tables {
    ElementRange range;              // of all; of size 0: there are none such
    std::int64_t row = 0, rows = 0;  // elements of a row, rows of a table
  };
  const Tables& tables() const { return tables_; }
  // Their rows among moved(s, p), and what lies before and behind them; where there are none all is before.
  ElementRange rows(int s, int p) const;
  ElementRange before_rows(int s, int p) const { return {moved(s, p).begin, rows(s, p).begin}; }
  ElementRange behind_rows(int s, int p) const { return {rows(s, p).end, moved(s, p).end}; }
  // How many of these rows so many tokens can use: one a table each.
  std::int64_t most_rows(const ElementRange& rows, std::int64_t tokens) const;

  // Where process p keeps what belongs to the elements moved(s, p): in ascending order, aligned to 16 elements, so that
  // one process keeps all of them where they are. And the elements of all.
  std::int64_t place_of_moved(int s, int p) const;
  std::int64_t moved_elements(int p) const { return place_of_moved(-1, p); }

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  std::int64_t cut(int s, int p) const;
  std::int64_t row_end(std::int64_t element) const;
  void find_tables();

  struct Rows {
    std::int64_t begin, end, row;
  };
  int processes_;
  std::vector<std::int64_t> bounds_;  // falling: bounds_[s + 1] .. bounds_[s] is segment s
  std::vector<Rows> by_rows_;
  Tables tables_;
};

}  // namespace longstride
