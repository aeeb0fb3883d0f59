// Where the rows of a span of positions lie, for attention's drivers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

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

// The rows of one head of one sequence; a neighbouring head's lie head_bytes further.
struct HeadMatrix {
  char* data = nullptr;  // row of position 0
  std::int64_t row_bytes = 0, head_bytes = 0;

  HeadMatrix() = default;
  // first: position of the row that x has first.
  HeadMatrix(const Heads& x, std::int64_t b, std::int64_t h, std::int64_t first = 0)
      : data(static_cast<char*>(x.data) + (x.offset(b, 0, h) - first * x.row_stride) * size_of(x.type)),
        row_bytes(x.row_stride * size_of(x.type)),
        head_bytes(x.head_stride * size_of(x.type)) {}
  HeadMatrix(void* first, std::int64_t of_row, std::int64_t of_head)
      : data(static_cast<char*>(first)), row_bytes(of_row), head_bytes(of_head) {}
  char* row(std::int64_t position) const { return data + position * row_bytes; }
  HeadMatrix head(std::int64_t h) const { return {data + h * head_bytes, row_bytes, head_bytes}; }
  template <class Pointer>
  void rows(const Span& span, Pointer* to) const {
    each_position(span, [&](std::int64_t t, std::int64_t position) { to[t] = data + position * row_bytes; });
  }
};

// `bytes` of the rows of a matrix from `first` on.
struct RowsAhead {
  HeadMatrix matrix;
  std::int64_t bytes, first;
};
// Asks for so many rows of each matrix that has data, while something else is computed. Rows before 0 are others.
inline void look_ahead(std::initializer_list<RowsAhead> matrices, std::int64_t rows, Ahead& ahead) {
  ahead.count = 0;
  ahead.left = std::max<std::int64_t>(0, rows);
  for (const auto& [matrix, bytes, first] : matrices)
    if (matrix.data != nullptr)
      ahead.matrices[ahead.count++] = {matrix.row(std::max<std::int64_t>(0, first)), matrix.row_bytes, bytes};
}

// Consecutive pieces of one allocation, each aligned to a cache line. Without memory it only counts.
class Pieces {
 public:
  explicit Pieces(float* begin) : begin_(begin) {}
  float* take(std::int64_t floats) {
    float* piece = begin_ == nullptr ? nullptr : begin_ + taken_;
    taken_ += padded(floats);
    return piece;
  }
  float* take_bytes(std::int64_t bytes) { return take((bytes + 3) / 4); }
  std::int64_t floats() const { return taken_; }

 private:
  float* begin_;
  std::int64_t taken_ = 0;
};

}  // namespace longstride
