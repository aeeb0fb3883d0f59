// S_i as ascending runs of neighbouring keys: O(1) work a run and part.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "pattern/parts.h"

namespace longstride {

// Runs [begin, begin + run), [begin + step, begin + step + run), ..., cut at `end`.
struct RunStream {
  std::int64_t begin, run, step, end;
};

// The streams of a query's parts; keys may repeat among them.
class RunStreams {
 public:
  // 0 <= i < parts.n.
  RunStreams(const Parts& parts, std::int64_t i) {
    const std::int64_t end = i + 1;
    add_range(std::max<std::int64_t>(0, end - parts.window), end);
    add_range(0, std::min(parts.prefix, end));
    for (const std::int64_t l : parts.rows) add_range(i / l * l, end);
    for (const std::int64_t l : parts.previous_rows) add_range(std::max<std::int64_t>(0, i / l * l - l), i / l * l);
    for (const Cells& cells : parts.summaries) add({cells.first, cells.count, cells.length, end});
    for (const Diagonal& diagonal : parts.diagonals) {
      const std::int64_t steps = std::min(i, diagonal.extent - 1) / diagonal.step;
      add({i - steps * diagonal.step, 1, diagonal.step, end});
    }
  }

  // Calls visit(begin, end) with the runs of the union: ascending, disjoint, not empty.
  template <class Visit>
  void walk(Visit visit) {
    std::int64_t done = 0;  // keys below were visited or are in no stream
    while (size_ > 0) {
      int least = 0;
      for (int s = 1; s < size_; ++s)
        if (streams_[s].begin < streams_[least].begin) least = s;
      RunStream& stream = streams_[least];
      const std::int64_t begin = std::max(stream.begin, done), end = std::min(stream.begin + stream.run, stream.end);
      if (begin < end) {
        visit(begin, end);
        done = end;
      }
      stream.begin += stream.step;
      if (stream.begin >= stream.end) stream = streams_[--size_];
    }
  }

 private:
  void add(const RunStream& stream) {
    if (stream.begin < stream.end) streams_[size_++] = stream;
  }
  void add_range(std::int64_t begin, std::int64_t end) { add({begin, end - begin, end - begin, end}); }

  std::array<RunStream, kMaxParts + 1> streams_;
  int size_ = 0;
};

}  // namespace longstride
