// This computes the slot of each key, and the slots that a query reads, in closed form.
#include "pattern/cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "longstride/error.h"
#include "pattern/runs.h"

namespace longstride {

namespace {

// How far back from the query, itself included, the ring must reach for every part that is not a prefix or a summary.
std::int64_t ring_needed(const Parts& parts) {
  std::int64_t ring = parts.window;
  for (const std::int64_t l : parts.rows) ring = std::max(ring, l);
  for (const std::int64_t l : parts.previous_rows) ring = std::max(ring, 2 * l);
  for (const Diagonal& diagonal : parts.diagonals)
    ring = std::max(ring, (diagonal.extent - 1) / diagonal.step * diagonal.step + 1);
  return std::min(ring, parts.n);
}

}  // namespace

CacheLayout::CacheLayout(const Pattern& pattern, std::int64_t n) {
  check_pattern(pattern);
  parts_ = reduce(pattern, n);
  ring_ = ring_needed(parts_);
  for (const Diagonal& diagonal : parts_.diagonals)
    if (diagonal.extent >= n) ring_ = n;  // a column keeps everything
  slots_ = ring_;
  if (ring_ < n) {
    prefix_ = parts_.prefix;
    slots_ += prefix_;
    for (const Cells& cells : parts_.summaries) {
      summaries_.push_back({cells, slots_});
      slots_ += cells.before(n);
    }
  }
  if (slots_ > std::numeric_limits<std::int32_t>::max())
    throw_invalid(fmt::format("pattern \"{}\": a decoder of {} positions needs {} slots a head, more than 2^31 - 1",
                              to_string(pattern), n, slots_));
}

const CacheLayout::Store* CacheLayout::store_of(std::int64_t j) const {
  for (const Store& store : summaries_)
    if (store.cells.has(j)) return &store;
  return nullptr;
}

// Outside the ring, where position j stays; -1: nowhere.
std::int64_t CacheLayout::lasting_slot(std::int64_t j) const {
  if (j < prefix_) return ring_ + j;
  const Store* store = store_of(j);
  return store == nullptr ? -1 : store->first_slot + store->cells.before(j);
}

void CacheLayout::write_slots(std::int64_t j, std::vector<std::int32_t>& slots) const {
  if (ring_ > 0) slots.push_back(static_cast<std::int32_t>(j % ring_));
  const std::int64_t lasting = lasting_slot(j);
  if (lasting >= 0) slots.push_back(static_cast<std::int32_t>(lasting));
}

void CacheLayout::held_slots(std::int64_t first, std::int64_t n, std::vector<std::int64_t>& positions,
                             std::vector<std::int32_t>& slots) const {
  const auto add = [&](std::int64_t j, std::int64_t slot) {
    positions.push_back(j);
    slots.push_back(static_cast<std::int32_t>(slot));
  };
  for (std::int64_t j = first; j < n; ++j) {
    if (j >= n - ring_) add(j, j % ring_);
    if (const std::int64_t slot = lasting_slot(j); slot >= 0) add(j, slot);
  }
}

void CacheLayout::read_slots(std::int64_t i, std::vector<std::int32_t>& slots) const {
  const std::int64_t ring_begin = i - ring_ + 1;  // first position that the ring still has
  RunStreams(parts_, i).walk([&](std::int64_t begin, std::int64_t end) {
    std::int64_t j = begin;
    for (; j < std::min(end, ring_begin); ++j) {
      const Store* store = j < prefix_ ? nullptr : store_of(j);
      slots.push_back(
          static_cast<std::int32_t>(store == nullptr ? ring_ + j : store->first_slot + store->cells.before(j)));
    }
    if (j == end) return;
    for (std::int64_t slot = j % ring_; j < end; ++j) {
      slots.push_back(static_cast<std::int32_t>(slot));
      if (++slot == ring_) slot = 0;
    }
  });
}

}  // namespace longstride
