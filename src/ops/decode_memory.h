// These are caches of several sequences in the host's memory (pattern/cache.h), and steps of decoding on them: rows of
// any sequences, at any positions.
#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "ops/attention_memory.h"
#include "pattern/cache.h"

namespace longstride {

struct DecodeRow {
  std::int64_t sequence, position;
};
using DecodeStep = std::vector<DecodeRow>;  // one operation: rows of one sequence stand side by side, ascending

class DecodeMemory {
 public:
  DecodeMemory(const AttentionCase& c, DType type)
      : case_(c), type_(type), slots_(lay_out()), keys_(made(c.B * slots_, c.Dq)), values_(made(c.B * slots_, c.Dv)) {}

  struct Lists {
    std::vector<std::int32_t> write, read, sequence;
    std::vector<std::int64_t> write_begin, write_end, read_begin, read_end;
  };
  struct Rows {
    HostMatrix q, k, v, out;
  };
  // What an operation on some rows names; it stays where it is while the operation is used.
  struct Prepared {
    Lists lists;
    Rows rows;
  };
  Prepared prepare(const DecodeStep& rows) const { return {lists_of(rows), rows_of(rows)}; }
  DecodeAttention operation(Prepared& of) {
    DecodeAttention op;
    op.H = case_.H, op.slots = slots_, op.scale = static_cast<float>(case_.scale);
    op.q = of.rows.q.view(), op.k = of.rows.k.view(), op.v = of.rows.v.view(), op.out = of.rows.out.view();
    op.keys = keys_.view(), op.values = values_.view(), op.sequence = array_of(of.lists.sequence);
    op.first_slot = array_of(first_slot_), op.groups = static_cast<std::int64_t>(layouts_.size());
    op.group = array_of(group_), op.write = array_of(of.lists.write), op.read = array_of(of.lists.read);
    op.write_begin = array_of(of.lists.write_begin), op.write_end = array_of(of.lists.write_end);
    op.read_begin = array_of(of.lists.read_begin), op.read_end = array_of(of.lists.read_end);
    return op;
  }

  // What the rows give, (rows, H * Dv). Their keys and values are in the caches afterwards.
  definitions::Values step(const RunAll& run, const DecodeStep& rows) {
    Prepared of = prepare(rows);
    run({operation(of)});
    return of.rows.out.values();
  }
  // The same by definition; the caches stay.
  definitions::Values defined(const DecodeStep& rows) {
    Prepared of = prepare(rows);
    return definitions::decode_attention(operation(of));
  }
  definitions::Values caches() {
    definitions::Values all = keys_.values();
    append(all, values_.values());
    return all;
  }

 private:
  HostMatrix made(std::int64_t rows, std::int64_t cols, std::int64_t gap = 0) const {
    return HostMatrix::of_nothing(type_, rows, cols, gap);
  }
  // Heads of equal patterns form a group, and have slots of their own.
  std::int64_t lay_out() {
    std::int64_t slots = 0;
    for (std::int64_t h = 0; h < case_.H; ++h) {
      const CacheLayout layout(case_.patterns[static_cast<std::size_t>(h)], case_.T);
      const auto known = std::find(layouts_.begin(), layouts_.end(), layout);
      group_.push_back(static_cast<std::int32_t>(known - layouts_.begin()));
      if (known == layouts_.end()) layouts_.push_back(layout);
      first_slot_.push_back(slots);
      slots += layout.slots();
    }
    return slots;
  }
  // Rows of one position share their lists.
  Lists lists_of(const DecodeStep& rows) const {
    Lists lists;
    std::map<std::pair<std::int64_t, std::size_t>, std::size_t> known;
    for (const DecodeRow& row : rows) {
      lists.sequence.push_back(static_cast<std::int32_t>(row.sequence));
      for (std::size_t g = 0; g < layouts_.size(); ++g) {
        const auto [of, is_new] = known.try_emplace({row.position, g}, lists.write_begin.size());
        if (is_new) {
          lists.write_begin.push_back(static_cast<std::int64_t>(lists.write.size()));
          lists.read_begin.push_back(static_cast<std::int64_t>(lists.read.size()));
          layouts_[g].write_slots(row.position, lists.write);
          layouts_[g].read_slots(row.position, lists.read);
          lists.write_end.push_back(static_cast<std::int64_t>(lists.write.size()));
          lists.read_end.push_back(static_cast<std::int64_t>(lists.read.size()));
        } else {
          lists.write_begin.push_back(lists.write_begin[of->second]);
          lists.write_end.push_back(lists.write_end[of->second]);
          lists.read_begin.push_back(lists.read_begin[of->second]);
          lists.read_end.push_back(lists.read_end[of->second]);
        }
      }
    }
    lists.write.push_back(-1), lists.read.push_back(-1);  // no list may be empty as a whole; nobody reads these
    return lists;
  }
  Rows rows_of(const DecodeStep& rows) const {
    const auto R = static_cast<std::int64_t>(rows.size());
    const AttentionCase& c = case_;
    Rows of{made(R, c.H * c.Dq, 1), made(R, c.H * c.Dq, 2), made(R, c.H * c.Dv, 3), made(R, c.H * c.Dv, 4)};
    const auto put = [&](HostMatrix& to, const std::vector<double>& from, std::int64_t D) {
      for (std::int64_t r = 0; r < R; ++r) {
        const DecodeRow& row = rows[static_cast<std::size_t>(r)];
        for (std::int64_t h = 0; h < c.H; ++h)
          for (std::int64_t d = 0; d < D; ++d)
            to.set(r, h * D + d, static_cast<float>(from[c.row(row.sequence, h, row.position) * D + d]));
      }
    };
    put(of.q, c.q, c.Dq), put(of.k, c.k, c.Dq), put(of.v, c.v, c.Dv);
    return of;
  }

  const AttentionCase& case_;
  DType type_;
  std::vector<CacheLayout> layouts_;  // (groups)
  std::vector<std::int32_t> group_;
  std::vector<std::int64_t> first_slot_;
  std::int64_t slots_;
  HostMatrix keys_, values_;
};

// All positions of all sequences, by these steps: out (B, H, T, Dv), then what the caches hold at the end.
inline definitions::Values decode(const RunAll& run, const AttentionCase& c, DType type,
                                  const std::vector<DecodeStep>& steps) {
  DecodeMemory memory(c, type);
  definitions::Values result(static_cast<std::size_t>(c.B * c.H * c.T * c.Dv), NAN);
  for (const DecodeStep& rows : steps) {
    const definitions::Values out = memory.step(run, rows);
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::int64_t h = 0; h < c.H; ++h)
        std::copy_n(out.begin() + (static_cast<std::int64_t>(r) * c.H + h) * c.Dv, c.Dv,
                    result.begin() + c.row(rows[r].sequence, h, rows[r].position) * c.Dv);
  }
  append(result, memory.caches());
  return result;
}

// Every row an operation of its own, one sequence after the other.
inline std::vector<DecodeStep> one_by_one(const AttentionCase& c) {
  std::vector<DecodeStep> steps;
  for (std::int64_t b = 0; b < c.B; ++b)
    for (std::int64_t i = 0; i < c.T; ++i) steps.push_back({{b, i}});
  return steps;
}
// All positions before `first` at once, then all sequences at one position after the other.
inline std::vector<DecodeStep> side_by_side(const AttentionCase& c, std::int64_t first = 0) {
  std::vector<DecodeStep> steps;
  if (first > 0) steps.emplace_back();
  for (std::int64_t b = 0; b < c.B; ++b)
    for (std::int64_t i = 0; i < first; ++i) steps[0].push_back({b, i});
  for (std::int64_t i = first; i < c.T; ++i) {
    DecodeStep& rows = steps.emplace_back();
    for (std::int64_t b = 0; b < c.B; ++b) rows.push_back({b, i});
  }
  return steps;
}
// Each sequence begins `later` steps after the one before it; the order of rows turns from step to step.
inline std::vector<DecodeStep> staggered(const AttentionCase& c, std::int64_t later) {
  std::vector<DecodeStep> steps;
  for (std::int64_t n = 0; n < c.T + later * (c.B - 1); ++n) {
    DecodeStep rows;
    for (std::int64_t s = 0; s < c.B; ++s) {
      const std::int64_t b = (s + n) % c.B, i = n - b * later;
      if (i >= 0 && i < c.T) rows.push_back({b, i});
    }
    if (!rows.empty()) steps.push_back(rows);
  }
  return steps;
}
// Several rows of a sequence at a time, another number for each sequence and step, none included.
inline std::vector<DecodeStep> in_pieces(const AttentionCase& c, std::int64_t most) {
  std::vector<DecodeStep> steps;
  std::vector<std::int64_t> next(static_cast<std::size_t>(c.B), 0);
  for (std::int64_t n = 0; std::any_of(next.begin(), next.end(), [&](std::int64_t i) { return i < c.T; }); ++n) {
    DecodeStep rows;
    for (std::int64_t s = 0; s < c.B; ++s) {
      const std::int64_t b = (s + n) % c.B;
      std::int64_t& i = next[static_cast<std::size_t>(b)];
      for (std::int64_t left = (5 * n + 3 * b + n / 3) % (most + 1); left > 0 && i < c.T; --left)
        rows.push_back({b, i++});
    }
    if (!rows.empty()) steps.push_back(rows);
  }
  return steps;
}

}  // namespace longstride
