// One pass over the parameters: AdamW with clipping, average and rounded copy; the gradient's norm; rounding.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride {

void adamw_update(const AdamW& op);
double sum_of_squares(const float* x, std::int64_t count);  // fixed pieces, added in ascending order, in double
void round_to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count);

}  // namespace longstride
