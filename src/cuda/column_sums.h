// Sums over the rows of something, column by column, added to what is there: gradients of biases and the like. Rows are
// summed in chunks, in ascending order, and the chunks after one another: the number of rows alone decides.
#pragma once

#include <algorithm>

#include "cuda/launch.h"
#include "cuda/run.h"

namespace longstride::cuda {

// At most 256 chunks, so that their sums take little memory; 128 rows at least, so that adding them takes little time.
inline std::int64_t rows_of_chunk(std::int64_t rows) { return std::max<std::int64_t>(128, divide_up(rows, 256)); }
inline std::int64_t column_sums_bytes(std::int64_t rows, std::int64_t columns) {
  return scratch_of(divide_up(rows, rows_of_chunk(rows)) * columns * 4);
}

// Where columns are added: those from `first_count` on to the second.
struct ColumnTarget {
  float* first = nullptr;
  std::int64_t first_count = 0;
  float* second = nullptr;

  LONGSTRIDE_DEVICE float& at(std::int64_t c) const { return c < first_count ? first[c] : second[c - first_count]; }
};

template <class Term>
struct SumChunk {
  static constexpr int kThreads = 128;
  Term term;  // term(r, c): what row r adds to column c
  std::int64_t rows, columns, chunk_rows;
  float* sums;  // (chunks, columns)

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t chunk = block.index().x;
    const std::int64_t c = std::int64_t{block.index().y} * kThreads + block.thread();
    if (c >= columns) return;
    const std::int64_t end = min(rows, (chunk + 1) * chunk_rows);
    float sum = 0;
    for (std::int64_t r = chunk * chunk_rows; r < end; ++r) sum += term(r, c);
    sums[chunk * columns + c] = sum;
  }
};

struct AddChunks {
  const float* sums;
  std::int64_t chunks, columns;
  ColumnTarget target;

  LONGSTRIDE_DEVICE void operator()(std::int64_t c) const {
    float sum = target.at(c);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * columns + c];
    target.at(c) = sum;
  }
};

// Adds the sums of chunks that a kernel of such blocks has left: those of SumChunk, or what sums in passing.
inline void add_chunks(Stream& stream, std::int64_t rows, std::int64_t columns, const float* sums,
                       const ColumnTarget& target) {
  launch_each(stream, columns, AddChunks{sums, divide_up(rows, rows_of_chunk(rows)), columns, target});
}

// scratch: column_sums_bytes.
template <class Term>
void add_column_sums(Stream& stream, std::int64_t rows, std::int64_t columns, const Term& term,
                     const ColumnTarget& target, void* scratch) {
  const std::int64_t chunk_rows = rows_of_chunk(rows), chunks = divide_up(rows, chunk_rows);
  auto* sums = static_cast<float*>(scratch);
  using Kernel = SumChunk<Term>;
  launch(stream, Kernel{term, rows, columns, chunk_rows, sums}, {chunks, divide_up(columns, Kernel::kThreads)});
  add_chunks(stream, rows, columns, sums, target);
}

}  // namespace longstride::cuda
