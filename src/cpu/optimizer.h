// Passes over parameters and gradients: AdamW, the sum of squares, the copy in bfloat16 (ops.h, backend.h).
#pragma once

#include <cstdint>

#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride {

void adamw(const AdamW& op);
double sum_squares(const float* x, std::int64_t count, Workspace& workspace);
void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count);

}  // namespace longstride
