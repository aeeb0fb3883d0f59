// Passes over parameters. One table an instruction set.
#pragma once

#include <cstdint>

namespace longstride::cpu {

// AdamW of ops.h, its numbers as they are in this step.
struct AdamWStep {
  float *w = nullptr, *m = nullptr, *v = nullptr;
  const float* dw = nullptr;
  float* ema = nullptr;           // optional
  std::uint16_t* copy = nullptr;  // optional
  float gradient_scale = 1, rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, decay = 0, ema_decay = 0;
  float correction1 = 1, correction2 = 1;
};

struct OptimizerKernels {
  void (*adamw)(const AdamWStep& op, std::int64_t first, std::int64_t count);  // elements [first, first + count)
  double (*sum_squares)(const float* x, std::int64_t count);               // the same bits on every instruction set
  void (*to_bfloat16)(const float* x, std::uint16_t* y, std::int64_t count);
};

const OptimizerKernels& optimizer_kernels();

}  // namespace longstride::cpu
