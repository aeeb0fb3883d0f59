// Rows that are wanted soon. The executor fills these, the kernels ask for a few rows between two products, so that
// memory works while they compute.
#pragma once

#include <algorithm>
#include <cstdint>

namespace longstride::cpu {

// The same row of every operand, one row after the other.
class Prefetch {
 public:
  struct Rows {
    const char* row;
    std::int64_t step_bytes, row_bytes;
    std::int64_t heads = 1, head_bytes = 0;
  };

  void clear(std::int64_t rows) {
    count_ = 0;
    left_ = std::max<std::int64_t>(0, rows);
  }
  void add(const Rows& rows) { operands_[count_++] = rows; }
  void issue() {
    for (int i = 0; i < kRowsAtOnce && left_ > 0; ++i, --left_)
      for (int m = 0; m < count_; ++m) {
        Rows& of = operands_[m];
        ask_for(of.row, of.row_bytes);
        for (std::int64_t h = 1; h < of.heads; ++h) [[unlikely]] ask_for(of.row + h * of.head_bytes, of.row_bytes);
        of.row += of.step_bytes;
      }
  }

 private:
  static void ask_for(const char* row, std::int64_t bytes) {
    for (std::int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte, 0, 2);
  }

  static constexpr int kRowsAtOnce = 2;  // so that a class of 32 rows is asked for while one is computed
  Rows operands_[11];
  int count_ = 0;
  std::int64_t left_ = 0;  // rows
};

}  // namespace longstride::cpu
