#include "cpu/norm.h"

#include <algorithm>
#include <cstring>

#include "cpu/threads.h"
#include "cpu/workspace.h"
#include "ops/philox.h"

namespace longstride {

namespace {

// Rows whose gradients of weight and bias are summed together; the sums are then added in ascending order.
constexpr std::int64_t kRows = 128;

std::int64_t pieces_of(std::int64_t rows) { return (rows + kRows - 1) / kRows; }

struct NormKernels {
  void (*forward)(const ResidualNorm& op, std::int64_t first, std::int64_t last);
  void (*backward)(const ResidualNormBackward& op, std::int64_t first, std::int64_t last, float* dweight, float* dbias);
};

}  // namespace

}  // namespace longstride

#define LONGSTRIDE_KERNELS "cpu/norm.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

std::int64_t residual_norm_backward_workspace_bytes(const ResidualNormBackward& op) {
  return Workspace::rounded(pieces_of(op.dy.rows) * 2 * op.dy.cols * 4);
}

void residual_norm_forward(const ResidualNorm& op) {
  const NormKernels& kernels = LONGSTRIDE_CHOOSE(kNormKernels);
  const std::int64_t pieces = pieces_of(op.y.rows);
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    kernels.forward(op, piece * kRows, std::min(op.y.rows, (piece + 1) * kRows));
}

void residual_norm_backward(const ResidualNormBackward& op, Workspace& workspace) {
  const NormKernels& kernels = LONGSTRIDE_CHOOSE(kNormKernels);
  const std::int64_t pieces = pieces_of(op.dy.rows), C = op.dy.cols;
  const Workspace::Scope scope(workspace);
  float* partial = workspace.floats(pieces * 2 * C);  // (pieces, 2, C) weight, bias
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    float* own = partial + piece * 2 * C;
    std::memset(own, 0, static_cast<std::size_t>(2 * C) * sizeof(float));
    kernels.backward(op, piece * kRows, std::min(op.dy.rows, (piece + 1) * kRows), own, own + C);
  }
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const float* own = partial + piece * 2 * C;
    for (std::int64_t c = 0; c < C; ++c) op.dweight[c] += own[c];
    for (std::int64_t c = 0; c < C; ++c) op.dbias[c] += own[C + c];
  }
}

}  // namespace longstride
