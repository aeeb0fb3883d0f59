// This cuts the store of parameters into segments and the pieces of processes.
#include "train/shards.h"

#include <algorithm>

#include "ops/ops.h"

namespace longstride {

namespace {

constexpr std::int64_t kPlaceAlignment = 16;  // elements: 64 bytes of float32

std::int64_t next_chunk(std::int64_t element) { return square_sums_of(element) * kSquareSumsChunk; }

}  // namespace

Shards::Shards(const ParameterTable& table, int processes) : processes_(processes) {
  const std::int64_t end = table.store_elements();
  bounds_ = {end, std::min(next_chunk(table.final_norm_weight), end)};
  for (auto block = table.blocks.rbegin(); block != table.blocks.rend(); ++block)
    bounds_.push_back(std::min(next_chunk(block->attention_norm_weight), end));
  bounds_.push_back(0);
  for (const Parameter& entry : table.entries())
    if (entry.by_rows) by_rows_.push_back({entry.offset, entry.offset + entry.count, entry.shape.back()});
  find_tables();
}

void Shards::find_tables() {
  if (by_rows_.empty()) return;
  const Rows& first = by_rows_.front();
  std::int64_t end = first.begin;
  for (const Rows& table : by_rows_) {
    if (table.begin != end || table.row != first.row || table.end - table.begin != first.end - first.begin) return;
    end = table.end;
  }
  tables_ = {{first.begin, end}, first.row, (first.end - first.begin) / first.row};
}

std::int64_t Shards::cut(int s, int p) const {
  const ElementRange whole = segment(s);
  const std::int64_t chunks = square_sums_of(whole.size());
  return std::min(whole.begin + chunks * p / processes_ * kSquareSumsChunk, whole.end);
}

std::int64_t Shards::row_end(std::int64_t element) const {
  for (const Rows& rows : by_rows_) {
    if (element > rows.begin && element < rows.end)
      return rows.begin + (element - rows.begin + rows.row - 1) / rows.row * rows.row;
  }
  return element;
}

ElementRange Shards::needed(int s, int p) const {
  return {summed(s, p).begin, std::max(summed(s, p).end, moved(s, p).end)};
}

ElementRange Shards::rows(int s, int p) const {
  const ElementRange all = moved(s, p), found = intersection(tables_.range, all);
  return found.size() > 0 ? found : ElementRange{all.end, all.end};
}

std::int64_t Shards::most_rows(const ElementRange& rows, std::int64_t tokens) const {
  std::int64_t most = 0;
  for (const Rows& table : by_rows_)
    most += std::min(intersection({table.begin, table.end}, rows).size() / table.row, tokens);
  return most;
}

std::int64_t Shards::place_of_moved(int s, int p) const {
  std::int64_t place = 0;
  for (int below = segments() - 1; below > s; --below)
    place += (moved(below, p).size() + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
  return place;
}

}  // namespace longstride
