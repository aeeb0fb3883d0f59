// Lists of a table's rows: packed, added over processes, put in their places. How long a list is lies on the card, and
// kernels are launched for as many rows as there may be.
#include <vector>

#include "cuda/launch.h"
#include "cuda/operations.h"

namespace longstride::cuda {

namespace {

constexpr int kListedRows = 4;  // a warp each

// place[r] = 1 where the row has something other than 0, else 0.
struct ChooseRows {
  static constexpr int kThreads = kListedRows * kWarp;
  const float* chosen_by;
  std::int64_t rows, row;
  std::int64_t* place;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kListedRows + block.warp();
    if (r >= rows) return;  // the whole warp
    bool chosen = false;
    for (std::int64_t i = r * row + block.lane(); i < (r + 1) * row; i += kWarp) chosen = chosen || chosen_by[i] != 0;
    chosen = block.ballot(chosen) != 0;
    if (block.lane() == 0) place[r] = chosen ? 1 : 0;
  }
};

// place[r] = how many rows before r were chosen, where it was itself, else -1. One block.
struct PlaceRows {
  static constexpr int kThreads = 256;
  std::int64_t rows;
  std::int64_t *place, *count;

  std::size_t shared_bytes() const { return kThreads * sizeof(std::int64_t); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* before = block.template shared<std::int64_t>();
    const std::int64_t share = (rows + kThreads - 1) / kThreads, begin = min(rows, share * block.thread()),
                       end = min(rows, begin + share);
    std::int64_t mine = 0;
    for (std::int64_t r = begin; r < end; ++r) mine += place[r];
    before[block.thread()] = mine;
    block.sync();
    std::int64_t next = 0;
    for (int t = 0; t < block.thread(); ++t) next += before[t];
    for (std::int64_t r = begin; r < end; ++r) place[r] = place[r] == 1 ? next++ : -1;
    if (block.thread() == kThreads - 1) *count = next;
  }
};

struct CopyChosen {
  static constexpr int kThreads = kListedRows * kWarp;
  const float* from;
  std::int64_t rows, row;
  const std::int64_t* place;
  std::int64_t room;
  std::int32_t* listed;
  float* values;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kListedRows + block.warp();
    if (r >= rows || place[r] < 0 || place[r] >= room) return;
    if (block.lane() == 0) listed[place[r]] = static_cast<std::int32_t>(r);
    for (std::int64_t i = block.lane(); i < row; i += kWarp) values[place[r] * row + i] = from[r * row + i];
  }
};

// A RowList as kernels see it.
struct CardList {
  const std::int64_t* count;
  const std::int32_t* rows;
  const float* values;
  std::int64_t room;

  LONGSTRIDE_DEVICE std::int64_t size() const { return min(*count, room); }
  // Where row r stands, or -1.
  LONGSTRIDE_DEVICE std::int64_t find(std::int64_t r) const {
    std::int64_t begin = 0, end = size();
    while (begin < end) {
      const std::int64_t middle = (begin + end) / 2;
      if (rows[middle] < r)
        begin = middle + 1;
      else
        end = middle;
    }
    return begin < size() && rows[begin] == r ? begin : -1;
  }
};

CardList card_list(const RowList& list) { return {list.count.data, list.rows.data, list.values.data, list.rows.count}; }

// A warp a row. The terms of a column come one after the other, and as many sums as a term's number ends with ones are
// closed by it: those of 1, 2, 4, ... processes wait in the block's memory.
struct SumRow {
  static constexpr int kThreads = kListedRows * kWarp, kLevels = 32;
  float* own;
  std::int64_t rows, row, rank, others;
  const CardList* lists;

  std::size_t shared_bytes() const { return std::size_t{kThreads} * kLevels * sizeof(float); }

  template <class Block>
  LONGSTRIDE_DEVICE bool is_listed(Block& block, std::int64_t r) const {
    bool found = false;
    for (std::int64_t p = block.lane(); p < others; p += kWarp) found = found || lists[p].find(r) >= 0;
    return block.ballot(found) != 0;
  }
  LONGSTRIDE_DEVICE float term(std::int64_t p, std::int64_t r, std::int64_t i) const {
    if (p == rank) return own[r * row + i];
    const CardList& list = lists[p < rank ? p : p - 1];
    const std::int64_t at = list.find(r);
    return at < 0 ? 0.0f : list.values[at * row + i];
  }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kListedRows + block.warp();
    if (r >= rows || !is_listed(block, r)) return;  // the whole warp
    float* waiting = block.template shared<float>() + block.thread();
    for (std::int64_t i = block.lane(); i < row; i += kWarp) {
      float sum = 0;
      for (std::int64_t p = 0; p <= others; ++p) {
        sum = term(p, r, i);
        int level = 0;
        for (; (p >> level & 1) != 0; ++level) sum = waiting[level * kThreads] + sum;
        waiting[level * kThreads] = sum;
      }
      own[r * row + i] = sum;
    }
  }
};

struct PutRow {
  static constexpr int kThreads = kListedRows * kWarp;
  float* to;
  std::int64_t row;
  CardList list;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t k = std::int64_t{block.index().x} * kListedRows + block.warp();
    if (k >= list.size()) return;
    for (std::int64_t i = block.lane(); i < row; i += kWarp) to[list.rows[k] * row + i] = list.values[k * row + i];
  }
};

}  // namespace

std::int64_t scratch_bytes(const PackRows& op) {
  return op.from.count / op.row * static_cast<std::int64_t>(sizeof(std::int64_t));
}
std::int64_t scratch_bytes(const SumRows& op) {
  return std::ssize(op.others) * static_cast<std::int64_t>(sizeof(CardList));
}

void compute(const Run& run, const PackRows& op) {
  const std::int64_t rows = op.from.count / op.row;
  auto* place = reinterpret_cast<std::int64_t*>(run.scratch);
  const Grid grid = {divide_up(rows, kListedRows)};
  launch(run.stream(), ChooseRows{op.chosen_by.data, rows, op.row, place}, grid);
  launch(run.stream(), PlaceRows{rows, place, op.list.count.data}, {});
  launch(run.stream(),
         CopyChosen{op.from.data, rows, op.row, place, op.list.rows.count, op.list.rows.data, op.list.values.data},
         grid);
}

void compute(const Run& run, const SumRows& op) {
  if (op.others.empty()) return;
  std::vector<CardList> lists;
  for (const RowList& list : op.others) lists.push_back(card_list(list));
  run.card.upload(run.scratch, lists.data(), scratch_bytes(op));
  const std::int64_t rows = op.own.count / op.row;
  launch(
      run.stream(),
      SumRow{op.own.data, rows, op.row, op.rank, std::ssize(op.others), reinterpret_cast<const CardList*>(run.scratch)},
      {divide_up(rows, kListedRows)});
}

void compute(const Run& run, const PutRows& op) {
  launch(run.stream(), PutRow{op.to.data, op.row, card_list(op.list)}, {divide_up(op.list.rows.count, kListedRows)});
}

}  // namespace longstride::cuda
