// Where the rows of a span of positions lie, for attention's drivers.
#pragma once

#include <cstdint>

#include "cpu/attention_kernels.h"
#include "ops/tensor.h"
#include "pattern/tiles.h"

namespace longstride {

// Calls visit(t, position) for t in [0, count): without the division of Span::at.
template <class Visit>
void each_position(const Span& span, Visit visit) {
  std::int64_t begin = span.begin;
  for (std::int64_t t = 0; t < span.count; begin += span.step)
    for (std::int64_t r = 0; r < span.run && t < span.count; ++r, ++t) visit(t, begin + r);
}

// A head's columns of one sequence's rows.
struct HeadMatrix {
  char* data = nullptr;  // row of position 0, first column
  std::int64_t row_bytes = 0;

  HeadMatrix() = default;
  HeadMatrix(const Matrix& m, std::int64_t first_row, std::int64_t first_col)
      : data(static_cast<char*>(m.data) + (first_row * m.stride + first_col) * size_of(m.type)),
        row_bytes(m.stride * size_of(m.type)) {}
  template <class Pointer>
  void rows(const Span& span, Pointer* to) const {
    each_position(span, [&](std::int64_t t, std::int64_t position) { to[t] = data + position * row_bytes; });
  }
};

// Asks the caches for rows that are needed soon.
inline void prefetch(const AttentionKernels& kernels, const HeadMatrix& m, const Span& span, std::int64_t bytes) {
  const char* rows[kTileQueries];
  m.rows(span, rows);
  kernels.prefetch_rows(rows, static_cast<int>(span.count), static_cast<int>(bytes));
}

// Asks the caches for the keys and values after those in use, which probably lie beside them or in the next residue
// class: a share before each of the blocks that read the present ones.
class KeysAhead {
 public:
  KeysAhead(std::int64_t T, const HeadMatrix& k, std::int64_t k_bytes, const HeadMatrix& v, std::int64_t v_bytes)
      : T_(T), k_(k), v_(v), k_bytes_(k_bytes), v_bytes_(v_bytes) {}

  void begin(const Span& keys, int shares) {
    Span next = keys;
    next.begin += keys.run >= keys.count ? keys.count : (keys.count + keys.run - 1) / keys.run * keys.step;
    if (keys.run == 1 && next.begin >= T_) next.begin = keys.begin % keys.step + 1;
    while (next.count > 0 && next.at(next.count - 1) >= T_) --next.count;
    k_.rows(next, k_rows_);
    v_.rows(next, v_rows_);
    at_ = 0;
    count_ = static_cast<int>(next.count);
    share_ = (count_ + shares - 1) / shares;
  }
  void prefetch(const AttentionKernels& kernels) {
    const int count = share_ < count_ - at_ ? share_ : count_ - at_;
    kernels.prefetch_rows(k_rows_ + at_, count, static_cast<int>(k_bytes_));
    kernels.prefetch_rows(v_rows_ + at_, count, static_cast<int>(v_bytes_));
    at_ += count;
  }

 private:
  std::int64_t T_;
  HeadMatrix k_, v_;
  std::int64_t k_bytes_, v_bytes_;
  int at_ = 0, count_ = 0, share_ = 0;
  const char *k_rows_[kTileKeys], *v_rows_[kTileKeys];
};

// Consecutive pieces of one allocation, each aligned to a cache line. Without memory it only counts.
class Pieces {
 public:
  explicit Pieces(float* begin) : begin_(begin) {}
  float* take(std::int64_t floats) {
    float* piece = begin_ == nullptr ? nullptr : begin_ + taken_;
    taken_ += padded(floats);
    return piece;
  }
  std::int64_t floats() const { return taken_; }

 private:
  float* begin_;
  std::int64_t taken_ = 0;
};

}  // namespace longstride
