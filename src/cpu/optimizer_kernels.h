// Passes over parameters. One table an instruction set.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride {

struct OptimizerKernels {
  void (*adamw)(const AdamW& op, std::int64_t first, std::int64_t count);  // elements [first, first + count)
  double (*sum_squares)(const float* x, std::int64_t count);               // the same bits on every instruction set
  void (*to_bfloat16)(const float* x, std::uint16_t* y, std::int64_t count);
};

const OptimizerKernels& optimizer_kernels();

}  // namespace longstride
