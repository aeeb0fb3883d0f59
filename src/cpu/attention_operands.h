// The operands of attention, by name: where one head's rows of each lie, of a sequence or of a residue class that was
// copied side by side.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/attention_kernels.h"
#include "cpu/attention_schedule.h"
#include "ops/tensor.h"
#include "pattern/tiles.h"

namespace longstride::cpu {

// Calls visit(t, position) for t in [0, count): without the division of Span::at.
template <class Visit>
void each_position(const Span& span, Visit visit) {
  std::int64_t begin = span.begin;
  for (std::int64_t t = 0; t < span.count; begin += span.step)
    for (std::int64_t r = 0; r < span.run && t < span.count; ++r, ++t) visit(t, begin + r);
}

// The rows of one head of one sequence; a neighbouring head's lie head_bytes further. Without row_bytes there are none.
struct HeadRows {
  char* data = nullptr;  // row of position 0
  std::int64_t row_bytes = 0, head_bytes = 0;

  HeadRows() = default;
  // first: position of the row that x has first.
  HeadRows(const Heads& x, std::int64_t b, std::int64_t h, std::int64_t first = 0)
      : data(static_cast<char*>(x.data) + (x.offset(b, 0, h) - first * x.row_stride) * size_of(x.type)),
        row_bytes(x.row_stride * size_of(x.type)),
        head_bytes(x.head_stride * size_of(x.type)) {}
  HeadRows(void* first, std::int64_t of_row, std::int64_t of_head)
      : data(static_cast<char*>(first)), row_bytes(of_row), head_bytes(of_head) {}
  explicit operator bool() const { return row_bytes != 0; }
  char* row(std::int64_t position) const { return data + position * row_bytes; }
  HeadRows head(std::int64_t h) const { return {data + h * head_bytes, row_bytes, head_bytes}; }
  template <class Pointer>
  void rows(const Span& span, Pointer* to) const {
    each_position(span, [&](std::int64_t t, std::int64_t position) { to[t] = data + position * row_bytes; });
  }
};

// One head's operands. Before a head's last sweep `out`, or dq, dk and dv, hold partial sums: floats, or where the type
// is bfloat16 the upper halves of floats, whose lower halves are in `low` rows.
struct HeadOperands {
  HeadRows q, k, v, out, dout, dq, dk, dv;
  HeadRows out_low, dq_low, dk_low, dv_low;
  float* lse = nullptr;         // (positions)
  std::int64_t class_step = 0;  // of a class that was copied: its positions are indices then
  Span span(const Span& positions) const {
    if (class_step == 0) return positions;
    return {positions.begin / class_step, kTileKeys, kTileKeys, positions.count};
  }
};

// What a pass does with an operand.
struct Operand {
  HeadRows HeadOperands::*rows;
  bool of_values;   // Dv channels; else Dq
  bool of_queries;  // a row a query; else a row a key
};
// The operands of a pass: first those that it reads, then its partial sums, then their lower halves.
struct PassOperands {
  const Operand* all;
  int reads, sums, lows;
  int with_sums(bool lower) const { return reads + sums + (lower ? lows : 0); }
};
inline constexpr Operand kForwardOperands[] = {{&HeadOperands::q, false, true},
                                               {&HeadOperands::k, false, false},
                                               {&HeadOperands::v, true, false},
                                               {&HeadOperands::out, true, true},
                                               {&HeadOperands::out_low, true, true}};
inline constexpr PassOperands kForward{kForwardOperands, 3, 1, 1};
inline constexpr Operand kBackwardOperands[] = {
    {&HeadOperands::q, false, true},       {&HeadOperands::k, false, false},    {&HeadOperands::v, true, false},
    {&HeadOperands::out, true, true},      {&HeadOperands::dout, true, true},   {&HeadOperands::dq, false, true},
    {&HeadOperands::dk, false, false},     {&HeadOperands::dv, true, false},    {&HeadOperands::dq_low, false, true},
    {&HeadOperands::dk_low, false, false}, {&HeadOperands::dv_low, true, false}};
inline constexpr PassOperands kBackward{kBackwardOperands, 5, 3, 3};

// Consecutive slices of one allocation, each aligned to a cache line. Without memory it only counts.
class Slices {
 public:
  explicit Slices(float* begin) : begin_(begin) {}
  float* take(std::int64_t floats) {
    float* slice = begin_ == nullptr ? nullptr : begin_ + taken_;
    taken_ += padded(floats);
    return slice;
  }
  float* take_bytes(std::int64_t bytes) { return take((bytes + 3) / 4); }
  std::int64_t floats() const { return taken_; }

 private:
  float* begin_;
  std::int64_t taken_ = 0;
};

// Rows of some neighbouring heads' residue class, copied side by side. The rows of a class lie far apart: each is a
// page of its own, and where the step is a power of two all of them fall into one set of the caches.
class ClassCopy {
 public:
  ClassCopy(Slices& slices, const PassOperands& pass, const AttentionShape& shape, std::int64_t gathered_rows)
      : pass_(pass), q_bytes_(shape.q_bytes()), v_bytes_(shape.v_bytes()), paired_(shape.paired_sums()) {
    for (int m = 0; m < pass.with_sums(paired_); ++m) memory_[m] = slices.take_bytes(gathered_rows * bytes(m));
    lse_ = slices.take(gathered_rows);
  }

  // The operands of the first of `heads` heads copied; of the h-th with head(h).
  HeadOperands head(std::int64_t h, std::int64_t heads, const ResidueClass& of) const {
    HeadOperands copy;
    for (int m = 0; m < pass_.with_sums(paired_); ++m)
      copy.*pass_.all[m].rows = HeadRows(memory_[m], heads * bytes(m), bytes(m)).head(h);
    copy.lse = lse_;
    copy.class_step = of.step;
    return copy;
  }
  // Row by row, so that columns which are neighbours are read together.
  void gather(const HeadOperands& first, std::int64_t heads, const ResidueClass& of, bool sums) const {
    each(first, heads, of, 0, sums ? pass_.with_sums(paired_) : pass_.reads,
         [](char* copy, const char* row, std::size_t count) { std::memcpy(copy, row, count); });
  }
  void scatter(const HeadOperands& first, std::int64_t heads, const ResidueClass& of, bool lows) const {
    each(first, heads, of, pass_.reads, pass_.with_sums(lows && paired_),
         [](const char* copy, char* row, std::size_t count) { std::memcpy(row, copy, count); });
  }
  // Asks for the rows of the class that comes next, while one is computed.
  void prefetch(const HeadOperands& first, std::int64_t heads, const ResidueClass& next, Prefetch& to) const {
    constexpr std::int64_t kMostBytes = 256 << 10;  // of the rows that wait in the caches
    std::int64_t row_bytes = 0;
    to.clear(next.keys);
    for (int m = 0; m < pass_.with_sums(paired_); ++m) {
      const HeadRows& rows = first.*pass_.all[m].rows;
      const bool neighbours = rows.head_bytes == bytes(m);
      to.add({rows.row(next.r), next.step * rows.row_bytes, neighbours ? heads * bytes(m) : bytes(m),
              neighbours ? 1 : heads, rows.head_bytes});
      row_bytes += heads * bytes(m);
    }
    if (next.keys * row_bytes > kMostBytes) to.clear(0);
  }

 private:
  std::int64_t bytes(int m) const { return pass_.all[m].of_values ? v_bytes_ : q_bytes_; }
  // Operands [begin, end): calls visit(row of the copy, row of the sequence, bytes), all heads at once where they are
  // neighbours in both.
  template <class Visit>
  void each(const HeadOperands& first, std::int64_t heads, const ResidueClass& of, int begin, int end,
            Visit visit) const {
    for (std::int64_t t = 0; t < of.keys; ++t)
      for (int m = begin; m < end; ++m) {
        const Operand& operand = pass_.all[m];
        if (operand.of_queries && t < of.first) continue;
        const HeadRows& rows = first.*operand.rows;
        char* copy = reinterpret_cast<char*>(memory_[m]) + t * heads * bytes(m);
        char* row = rows.row(of.position(t));
        if (rows.head_bytes == bytes(m)) {
          visit(copy, row, static_cast<std::size_t>(heads * bytes(m)));
          continue;
        }
        for (std::int64_t h = 0; h < heads; ++h)
          visit(copy + h * bytes(m), row + h * rows.head_bytes, static_cast<std::size_t>(bytes(m)));
      }
  }

  PassOperands pass_;
  std::int64_t q_bytes_, v_bytes_;
  bool paired_;
  float* memory_[11] = {};
  float* lse_;
};

}  // namespace longstride::cpu
