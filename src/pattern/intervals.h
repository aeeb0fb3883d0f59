// A few disjoint ranges of integers in ascending order: at most one a part of a pattern, so no memory is allocated.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>

#include "pattern/parts.h"

namespace longstride {

struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;  // not included
};

class Intervals {
 public:
  int size() const { return size_; }
  const Interval& operator[](int index) const { return ranges_[index]; }
  const Interval* begin() const { return ranges_.data(); }
  const Interval* end() const { return ranges_.data() + size_; }

  // Adds [begin, end), merged with what it overlaps or touches. Nothing where end <= begin.
  void add(std::int64_t begin, std::int64_t end) {
    if (end <= begin) return;
    int first = 0;
    while (first < size_ && ranges_[first].end < begin) ++first;
    int last = first;
    for (; last < size_ && ranges_[last].begin <= end; ++last) {
      begin = std::min(begin, ranges_[last].begin);
      end = std::max(end, ranges_[last].end);
    }
    if (last == first) {
      assert(size_ <= kMaxParts);
      std::move_backward(ranges_.begin() + first, ranges_.begin() + size_, ranges_.begin() + size_ + 1);
      ++size_;
    } else {
      std::move(ranges_.begin() + last, ranges_.begin() + size_, ranges_.begin() + first + 1);
      size_ -= last - first - 1;
    }
    ranges_[first] = {begin, end};
  }

  std::int64_t total() const {
    std::int64_t sum = 0;
    for (const Interval& range : *this) sum += range.end - range.begin;
    return sum;
  }

  // What [begin, end) has outside of these ranges, in ascending order.
  template <class Visit>
  void each_gap(std::int64_t begin, std::int64_t end, Visit visit) const {
    for (const Interval& range : *this) {
      if (begin < std::min(range.begin, end)) visit(begin, std::min(range.begin, end));
      begin = std::max(begin, range.end);
    }
    if (begin < end) visit(begin, end);
  }

 private:
  std::array<Interval, kMaxParts + 1> ranges_;  // a pattern's parts leave at most one gap more than they are
  int size_ = 0;
};

}  // namespace longstride
