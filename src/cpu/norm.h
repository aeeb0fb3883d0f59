// Layer norm with the residual addition and dropout fused in (ops.h), and its backward twin.
#pragma once

#include <cstdint>

#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride::cpu {

void residual_norm(const ResidualNorm& op, const StepInputs& inputs, Workspace& workspace);
void residual_norm_row(const ResidualNorm& op, std::int64_t r);  // row r of it, without dropout
void residual_norm_backward(const ResidualNormBackward& op, const StepInputs& inputs, Workspace& workspace);
std::int64_t residual_norm_workspace_bytes(std::int64_t C);
std::int64_t residual_norm_backward_workspace_bytes(const ResidualNormBackward& op);

}  // namespace longstride::cpu
