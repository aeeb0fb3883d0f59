// Passes over parameters, gradients and losses (ops.h): AdamW, the norm, copies, sums.
#pragma once

#include <cstdint>

#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride::cpu {

void adamw(const AdamW& op, const StepInputs& inputs);
void gradient_norm(const GradientNorm& op, Workspace& workspace);
std::int64_t gradient_norm_workspace_bytes(const GradientNorm& op);
void sum_bits(const SumBits& op);
void round(const Round& op);
void exchange(const Exchange& op);
void zero(const Zero& op);

}  // namespace longstride::cpu
