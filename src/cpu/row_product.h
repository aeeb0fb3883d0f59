// C = A B + bias in chunks of rows: what linear, its backward data and the vocabulary loss share. B is packed once,
// then chunks of kChunkRows rows run on all threads, each followed at once, while it is in the cache, by what the
// caller does with it. Where bfloat16 products do not run natively, B and the chunks of A are widened and multiplied in
// float32.
#pragma once

#include <functional>

#include "cpu/product.h"
#include "cpu/workspace.h"
#include "ops/tensor.h"

namespace longstride {

// Fixed, so that results do not depend on threads. 64 rows: a chunk's C of 2048 columns is 512 KiB in float32, half of
// an L2 cache of 1 MiB; measured as good as any larger number with oneDNN 2.6.3.
inline constexpr std::int64_t kChunkRows = 64;

class RowProduct {
 public:
  // b (K, M), or (M, K) where `transposed`. rows: what runs will add up to. Takes from the workspace what lives as long
  // as the caller's scope. workspace == nullptr: only counts bytes, b's data is not looked at.
  RowProduct(Products& products, Workspace* workspace, Matrix b, bool transposed, const float* bias, std::int64_t rows,
             std::int64_t a_stride, DType result, std::int64_t c_stride);

  std::int64_t workspace_bytes() const { return bytes_; }

  // Called on the thread that has just computed rows [first, first + count) of C (numbered within this run).
  using Finish = std::function<void(std::int64_t first, std::int64_t count)>;
  // a.rows: a multiple of kChunkRows, except in the last run. False where oneDNN failed (check_ran).
  bool run(const Matrix& a, const Matrix& c, const Finish& finish) const;

 private:
  struct Kind {  // whole chunks, or the rows left
    Product* product = nullptr;
    void* packed = nullptr;
  };
  void pack(Kind& kind, const ProductShape& shape);
  bool chunk(int thread, const Matrix& a, const Matrix& c, std::int64_t first, std::int64_t count) const;
  void* take(std::int64_t bytes);

  Products& products_;
  Workspace* workspace_;
  std::int64_t K_, M_;
  const float* bias_;
  Matrix b_;
  bool widened_ = false;  // b_ and chunks of A become float32 first
  bool narrow_ = false;   // and chunks of C bfloat16 afterwards
  Kind whole_, rest_;
  std::int64_t rest_rows_ = 0;
  std::int64_t bytes_ = 0;
  std::int64_t scratch_bytes_ = 0, a_bytes_ = 0, c_bytes_ = 0;  // a thread
  char* threads_memory_ = nullptr;
};

}  // namespace longstride
