// This lays buffers out so that two which live at the same time never share a byte. Programs of thousands of blocks
// have ten thousands of buffers, so that none is compared with all others: a tree over stages knows which bytes are
// taken when.
#include "ops/memory.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>

namespace longstride {

namespace {

struct Stretch {
  std::int64_t begin, end;
};

// Bytes as disjoint stretches, ascending, that do not touch: buffers of one size beside one another are one.
class Taken {
 public:
  bool empty() const { return stretches_.empty(); }

  void add(Stretch added) {
    const auto first = std::partition_point(stretches_.begin(), stretches_.end(),
                                            [&](const Stretch& one) { return one.end < added.begin; });
    const auto last =
        std::partition_point(first, stretches_.end(), [&](const Stretch& one) { return one.begin <= added.end; });
    if (first == last) {
      stretches_.insert(first, added);
      return;
    }
    *first = {std::min(first->begin, added.begin), std::max(std::prev(last)->end, added.end)};
    stretches_.erase(std::next(first), last);
  }

  // The lowest offset, `at` or above, from which on so many bytes are free.
  std::int64_t free_from(std::int64_t at, std::int64_t bytes) const {
    auto one = std::partition_point(stretches_.begin(), stretches_.end(),
                                    [&](const Stretch& stretch) { return stretch.end <= at; });
    for (; one != stretches_.end() && one->begin < at + bytes; ++one) at = one->end;
    return at;
  }

 private:
  std::vector<Stretch> stretches_;
};

// A binary tree whose leaves are stages; a node stands for those below it. Node n has the children 2n and 2n + 1.
class TakenByStage {
 public:
  explicit TakenByStage(int stages)
      : leaves_(std::bit_ceil(static_cast<std::size_t>(stages))), throughout_(2 * leaves_), sometimes_(2 * leaves_) {}

  // The lowest offset at which so many bytes are free at every stage in [first, last].
  std::int64_t free_place(int first, int last, std::int64_t bytes) const {
    std::vector<const Taken*> met;
    const auto meet = [&](const Taken& taken) {
      if (!taken.empty()) met.push_back(&taken);
    };
    each_whole_node(first, last, [&](std::size_t node) { meet(sometimes_[node]); });
    each_above(first, last, [&](std::size_t node) { meet(throughout_[node]); });
    std::int64_t at = 0;
    for (bool moved = true; moved;) {
      const std::int64_t before = at;
      for (const Taken* taken : met) at = taken->free_from(at, bytes);
      moved = at != before;
    }
    return at;
  }

  void take(int first, int last, Stretch stretch) {
    each_whole_node(first, last, [&](std::size_t node) {
      throughout_[node].add(stretch);
      sometimes_[node].add(stretch);
    });
    each_above(first, last, [&](std::size_t node) { sometimes_[node].add(stretch); });
  }

 private:
  // The fewest nodes that have the stages in [first, last] below them, and no others.
  template <class Visit>
  void each_whole_node(int first, int last, Visit visit) const {
    std::size_t left = leaves_ + static_cast<std::size_t>(first), right = leaves_ + static_cast<std::size_t>(last) + 1;
    for (; left < right; left /= 2, right /= 2) {
      if (left % 2 == 1) visit(left++);
      if (right % 2 == 1) visit(--right);
    }
  }

  // The leaves of both ends and all nodes above them: all that have one of these stages, and others, below them.
  template <class Visit>
  void each_above(int first, int last, Visit visit) const {
    std::size_t left = leaves_ + static_cast<std::size_t>(first), right = leaves_ + static_cast<std::size_t>(last);
    for (; left != right; left /= 2, right /= 2) {
      visit(left);
      visit(right);
    }
    for (; left > 0; left /= 2) visit(left);
  }

  std::size_t leaves_;
  std::vector<Taken> throughout_;  // by node: of buffers that live at every stage below it, and that no node above has
  std::vector<Taken> sometimes_;   // of buffers that live at any stage below it
};

}  // namespace

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
  int stages = 1;
  for (const Planned& buffer : buffers_) stages = std::max(stages, buffer.last + 1);
  TakenByStage taken(stages);
  total_ = 0;
  for (const std::size_t at : order) {
    Planned& buffer = buffers_[at];
    if (buffer.bytes == 0) break;  // it and all that follow stay at 0
    buffer.offset = taken.free_place(buffer.first, buffer.last, buffer.bytes);
    taken.take(buffer.first, buffer.last, {buffer.offset, buffer.offset + buffer.bytes});
    total_ = std::max(total_, buffer.offset + buffer.bytes);
  }
}

}  // namespace longstride
