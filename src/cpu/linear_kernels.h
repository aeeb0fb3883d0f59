// What products need beside oneDNN, one table an instruction set. `bf16` says that a pointer is to bfloat16, else to
// float32. Rows are dense where no stride is given.
#pragma once

#include <cstdint>

namespace longstride::cpu {

struct LinearKernels {
  int lanes;  // floats a vector: which table this is
  bool native_bf16;
  // y = f(pre), f(x) = x * sigmoid(1.702 x). May be in place.
  void (*activate)(const void* pre, bool pre_bf16, void* y, bool y_bf16, std::int64_t count);
  // dx = dx * f'(pre)
  void (*activate_backward)(const void* pre, void* dx, bool bf16, std::int64_t count);
  void (*widen)(const std::uint16_t* from, float* to, std::int64_t count);
  void (*narrow)(const float* from, std::uint16_t* to, std::int64_t count);
  // sums[c] += sum over rows of x[r, c], in ascending order of r from 0 (sums is added last).
  void (*column_sums)(const void* x, bool bf16, std::int64_t stride, std::int64_t rows, std::int64_t cols, float* sums);
  // exps = exp(logits - max), sum of them. Not a number where a logit is not, or is +inf. May be in place.
  void (*softmax)(const float* logits, float* exps, std::int64_t V, float* largest, float* sum);
  // y = scale * x
  void (*scale)(const float* x, float scale, void* y, bool bf16, std::int64_t count);
};

const LinearKernels& linear_kernels();

}  // namespace longstride::cpu
