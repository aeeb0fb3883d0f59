// Sparse softmax attention over the caller's memory: which query reads which key is a pattern a head, and nothing is
// n x n. For programs that have their own network and want this one operation, forward and backward.
//
//   out_i = sum_j p_ij v_j,  p_ij = exp(scale q_i . k_j - lse_i) for the keys j that query i reads, none above i
//
// A query that reads no key gets 0 and lse -inf. What is not finite makes NaN of the outputs that read it, and of no
// others. The same numbers give the same bits, whatever the strides and the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "longstride/pattern.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

enum class NumberFormat : std::uint8_t { float32, bfloat16 };  // bfloat16: the upper half of a float32

// What must be known before the first number is.
struct SparseAttentionShape {
  std::int64_t B = 1;                           // sequences; B * H at most 2^20
  std::int64_t T = 0;                           // positions of each, at most 2^31
  std::int64_t H = 1;                           // heads
  std::int64_t Dq = 0, Dv = 0;                  // channels of a head's queries and keys, and of its values: 1 to 256
  NumberFormat format = NumberFormat::float32;  // of every operand but lse
  std::vector<Pattern> patterns;                // one a head, or one for all; see parse_pattern
  float scale = 0;                              // of scores; 0: 1 / sqrt(Dq)
  int threads = 0;                              // at most so many; 0: what set_threads (longstride/device.h) says now
};

// Element (b, t, h, d) of an operand lies b * batch_stride + t * row_stride + h * head_stride + d elements after
// `data`.
struct AttentionInput {
  const void* data = nullptr;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;
};
struct AttentionOutput {
  void* data = nullptr;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;
};

// Made once for a shape, run often: schedules and scratch memory are kept, those of the backward pass from the first
// backward on. One thread at a time may use an object; several objects may run at the same time.
class SparseAttention {
 public:
  // Errors: invalid_argument where the shape or a pattern cannot be, exhausted where memory for scratch is missing.
  explicit SparseAttention(const SparseAttentionShape& shape);
  ~SparseAttention();
  SparseAttention(SparseAttention&&) noexcept;
  SparseAttention& operator=(SparseAttention&&) noexcept;

  // q, k (B, T, H, Dq), v and out (B, T, H, Dv); lse (B, H, T) without gaps, log sum exp of a query's scaled scores.
  // Errors: invalid_argument where an operand has no memory or strides let its rows overlap.
  void forward(const AttentionInput& q, const AttentionInput& k, const AttentionInput& v, const AttentionOutput& out,
               float* lse);

  // With out and lse of the forward pass and dout, the gradient of out: dq and dk (B, T, H, Dq), dv (B, T, H, Dv), all
  // overwritten. Errors: as forward.
  void backward(const AttentionInput& q, const AttentionInput& k, const AttentionInput& v, const AttentionInput& out,
                const float* lse, const AttentionInput& dout, const AttentionOutput& dq, const AttentionOutput& dk,
                const AttentionOutput& dv);

  std::int64_t scratch_bytes() const;  // memory that it keeps between calls

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longstride
#pragma GCC visibility pop
