// Passes over parameters, gradients and losses (ops.h): AdamW, the norm, copies, sums.
#pragma once

#include "ops/ops.h"

namespace longstride::cpu {

void adamw(const AdamW& op, const StepInputs& inputs);
void sum(const Sum& op);
void square_sums(const SquareSums& op);
void gradient_norm(const GradientNorm& op);
void sum_bits(const SumBits& op);
void round(const Round& op);
void exchange(const Exchange& op);
void zero(const Zero& op);

}  // namespace longstride::cpu
