// This lays buffers out so that two which live at the same time never share a byte.
#include "ops/memory.h"

#include <algorithm>
#include <numeric>

namespace longstride {

std::size_t MemoryPlan::add(std::string name, std::int64_t bytes, int first, int last) {
  const std::int64_t padded = aligned(bytes);
  buffers_.push_back({std::move(name), padded, first, last, 0});
  return buffers_.size() - 1;
}

bool MemoryPlan::overlap_in_time(std::size_t a, std::size_t b) const {
  return buffers_[a].first <= buffers_[b].last && buffers_[b].first <= buffers_[a].last;
}

void MemoryPlan::lay_out() {
  std::vector<std::size_t> order(buffers_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return buffers_[a].bytes > buffers_[b].bytes; });
  std::vector<std::size_t> placed;  // ascending by offset
  total_ = 0;
  for (const std::size_t buffer : order) {
    std::int64_t at = 0;
    for (const std::size_t other : placed) {
      if (!overlap_in_time(buffer, other)) continue;
      if (at + buffers_[buffer].bytes <= buffers_[other].offset) break;  // fits in the gap below `other`
      at = std::max(at, buffers_[other].offset + buffers_[other].bytes);
    }
    buffers_[buffer].offset = at;
    total_ = std::max(total_, at + buffers_[buffer].bytes);
    const auto above = [&](std::size_t other) { return buffers_[other].offset > at; };
    placed.insert(std::find_if(placed.begin(), placed.end(), above), buffer);
  }
}

}  // namespace longstride
