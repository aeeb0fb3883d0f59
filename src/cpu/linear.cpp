#include "cpu/linear.h"

#include <algorithm>
#include <functional>

#include "cpu/linear_kernels.h"
#include "cpu/row_product.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

constexpr std::int64_t kChunkColumns = 64;  // of the output, in the product of few rows

bool is_bf16(const Matrix& m) { return m.type == DType::bfloat16; }
char* row(const Matrix& m, std::int64_t r) { return static_cast<char*>(m.data) + r * m.stride * size_of(m.type); }

// x W^T goes to pre where it is kept or where y has another type, else to y itself; then y = f(that).
void activate_rows(const Linear& op, std::int64_t first, std::int64_t count) {
  const Matrix& from = op.pre ? op.pre : op.y;
  for (std::int64_t r = first; r < first + count; ++r) {
    if (op.activation == Activation::gelu_sigmoid) {
      linear_kernels().activate(row(from, r), is_bf16(from), row(op.y, r), is_bf16(op.y), op.y.cols);
    } else if (is_bf16(from) && !is_bf16(op.y)) {
      linear_kernels().widen(from.bf16() + r * from.stride, op.y.f32() + r * op.y.stride, op.y.cols);
    } else if (op.pre) {
      std::copy_n(row(from, r), op.y.cols * size_of(op.y.type), row(op.y, r));
    }
  }
}

// Few rows: the weights stream past them once.
void multiply_few_rows(const Linear& op, Workspace& workspace) {
  const std::int64_t N = op.x.rows, M = op.w.rows, K = op.w.cols;
  const Matrix& to = op.pre ? op.pre : op.y;
  float* sums = is_bf16(to) ? workspace.floats(N * M) : to.f32();
  const std::int64_t stride = is_bf16(to) ? M : to.stride;
  const std::int64_t chunks = (M + kChunkColumns - 1) / kChunkColumns;
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t first = chunk * kChunkColumns;
    const std::int64_t count = std::min(kChunkColumns, M - first);
    linear_kernels().few_rows(op.x.data, op.x.stride, N, row(op.w, first), op.w.stride, count, K, is_bf16(op.w),
                              op.bias == nullptr ? nullptr : op.bias + first, sums + first, stride);
    if (!is_bf16(to)) continue;
    for (std::int64_t n = 0; n < N; ++n)
      linear_kernels().narrow(sums + n * M + first, to.bf16() + n * to.stride + first, count);
  }
  activate_rows(op, 0, N);
}

RowProduct product_of(const Linear& op, Products& products, Workspace* workspace) {
  const Matrix& to = op.pre ? op.pre : op.y;
  return RowProduct(products, workspace, op.w, true, op.bias, op.x.rows, op.x.stride, to.type, to.stride);
}

RowProduct product_of(const LinearBackwardData& op, Products& products, Workspace* workspace) {
  return RowProduct(products, workspace, op.w, false, nullptr, op.dy.rows, op.dy.stride, op.dx.type, op.dx.stride);
}

}  // namespace

void linear_forward(const Linear& op, Products& products, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  if (op.x.rows <= kFewRows) return multiply_few_rows(op, workspace);
  const RowProduct product = product_of(op, products, &workspace);
  const auto finish = [&op](std::int64_t first, std::int64_t count) { activate_rows(op, first, count); };
  const bool needed = op.activation != Activation::none || op.pre;
  check_ran("linear", product.run(op.x, op.pre ? op.pre : op.y,
                                  needed ? RowProduct::Finish(std::cref(finish)) : RowProduct::Finish()));
}

std::int64_t linear_workspace_bytes(const Linear& op, Products& products) {
  if (op.x.rows <= kFewRows) return Workspace::rounded(op.x.rows * op.w.rows * 4);
  return product_of(op, products, nullptr).workspace_bytes();
}

// dx = (dy W) * f'(pre)
void linear_backward_data(const LinearBackwardData& op, Products& products, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const RowProduct product = product_of(op, products, &workspace);
  const auto finish = [&op](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r)
      linear_kernels().activate_backward(row(op.pre, r), row(op.dx, r), is_bf16(op.dx), op.dx.cols);
  };
  check_ran("linear_backward_data",
            product.run(op.dy, op.dx, op.pre ? RowProduct::Finish(std::cref(finish)) : RowProduct::Finish()));
}

std::int64_t linear_backward_data_workspace_bytes(const LinearBackwardData& op, Products& products) {
  return product_of(op, products, nullptr).workspace_bytes();
}

}  // namespace longstride
