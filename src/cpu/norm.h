// Layer norm with the residual addition and dropout of the branch in one pass over the rows, and its backward twin.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride {

class Workspace;

std::int64_t residual_norm_backward_workspace_bytes(const ResidualNormBackward& op);

void residual_norm_forward(const ResidualNorm& op);
void residual_norm_backward(const ResidualNormBackward& op, Workspace& workspace);

}  // namespace longstride
