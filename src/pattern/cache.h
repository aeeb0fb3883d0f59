// Where a decoder keeps the keys and values of a pattern, so that memory and work follow it (docs/model.md, section 5):
// windows and rows keep a ring, a summary keeps its cells, a prefix its p entries, a column everything.
// Positions are numbered from the start of the window that is decoded; slots are rows of a (slots, D) store a head.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/pattern.h"
#include "pattern/parts.h"

namespace longstride {

class CacheLayout {
 public:
  // pattern: resolved (for_head). n: positions that will be decoded at most.
  CacheLayout(const Pattern& pattern, std::int64_t n);

  std::int64_t slots() const { return slots_; }

  // The slots that position j's key and value are written to when j is decoded, appended (a key may live in a ring and
  // in a summary; none where no later query reads it from anywhere).
  void write_slots(std::int64_t j, std::vector<std::int32_t>& slots) const;

  // What the store holds once positions 0..n-1 were written: positions, each with its slot, appended. A position whose
  // ring entry was overwritten is not among them for it.
  void held_slots(std::int64_t n, std::vector<std::int64_t>& positions, std::vector<std::int32_t>& slots) const;

  // The slots of S_i in ascending order of key, appended; valid once positions 0..i were written and none later.
  void read_slots(std::int64_t i, std::vector<std::int32_t>& slots) const;

  bool operator==(const CacheLayout&) const = default;

 private:
  struct Store {  // a summary's: cell t lies in slot first_slot + t
    Cells cells;
    std::int64_t first_slot = 0;
    bool operator==(const Store&) const = default;
  };
  const Store* store_of(std::int64_t j) const;
  std::int64_t lasting_slot(std::int64_t j) const;
  Parts parts_;
  std::int64_t slots_ = 0;
  std::int64_t ring_ = 0;    // slots [0, ring_): position j in j mod ring_; a ring of n holds everything
  std::int64_t prefix_ = 0;  // slots [ring_, ring_ + prefix_)
  std::vector<Store> summaries_;
};

}  // namespace longstride
