// C = A B + bias in chunks of rows: what linear, its backward data and the vocabulary loss share. B is packed once,
// then chunks of kChunkRows rows run on all threads, each followed at once, while it is in the cache, by what the
// caller does with it. Where bfloat16 products do not run natively, B and the chunks of A are widened and multiplied in
// float32.
#pragma once

#include <array>
#include <functional>

#include "cpu/product.h"
#include "cpu/workspace.h"
#include "ops/tensor.h"

namespace longstride::cpu {

// Fixed, so that results do not depend on threads. 64 rows: a chunk's C of 2048 columns is 512 KiB in float32, half of
// an L2 cache of 1 MiB; measured as good as any larger number with oneDNN 2.6.3.
inline constexpr std::int64_t kChunkRows = 64;

class RowProduct {
 public:
  // b (K, M), or (M, K) where `transposed`; its address is not looked at. rows: what runs will add up to.
  RowProduct(Products& products, const Matrix& b, bool transposed, bool bias, std::int64_t rows, std::int64_t a_stride,
             DType result, std::int64_t c_stride);

  std::int64_t packed_bytes() const { return packed_bytes_; }
  std::int64_t widened_bytes() const { return widened_bytes_; }  // that packing needs besides
  std::int64_t threads_bytes() const;                            // that a run needs of scratch memory
  std::int64_t workspace_bytes() const { return packed_bytes() + widened_bytes() + threads_bytes(); }

  // Brings b, of the shape that was told, into oneDNN's order. packed: packed_bytes(), aligned to a cache line.
  // widened: widened_bytes(), not needed afterwards.
  void pack(const Matrix& b, void* packed, void* widened) const;
  const void* pack(const Matrix& b, Workspace& workspace) const;
  // What is packed for one product serves another where these are equal.
  using Order = std::array<const Product*, 2>;
  Order order() const;
  // Called on the thread that has just computed rows [first, first + count) of C (numbered within this run).
  using Finish = std::function<void(std::int64_t first, std::int64_t count)>;
  // a.rows: a multiple of kChunkRows, except in the last run. scratch: threads_bytes(). False where oneDNN failed
  // (check_ran).
  bool run(const void* packed, const Matrix& a, const Matrix& c, const float* bias, void* scratch,
           const Finish& finish) const;

 private:
  struct Kind {  // whole chunks, or the rows left
    Product* product = nullptr;
    std::int64_t packed = 0;  // bytes into what is packed
  };
  void make(Products& products, Kind& kind, const ProductShape& shape);
  bool rest_packs_alike() const;  // as whole chunks
  bool chunk(const void* packed, const float* bias, char* scratch, int thread, const Matrix& a, const Matrix& c,
             std::int64_t first, std::int64_t count) const;

  std::int64_t K_, M_;
  bool widened_ = false;  // b and chunks of A become float32 first
  bool narrow_ = false;   // and chunks of C bfloat16 afterwards
  Kind whole_, rest_;
  std::int64_t rest_rows_ = 0;
  std::int64_t packed_bytes_ = 0;                               // of oneDNN's order
  std::int64_t widened_bytes_ = 0;                              // of b in float32
  std::int64_t scratch_bytes_ = 0, a_bytes_ = 0, c_bytes_ = 0;  // a thread
};

}  // namespace longstride::cpu
