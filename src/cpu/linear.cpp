// This computes linear and its backward twins by products in chunks of rows, or by few_rows where rows are few.
#include "cpu/linear.h"

#include <omp.h>

#include <algorithm>
#include <functional>

#include "cpu/few_rows.h"
#include "cpu/linear_kernels.h"
#include "cpu/row_product.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

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
  const std::int64_t scratch_bytes = Workspace::rounded(few_rows_scratch_bytes(op));
  char* scratch = static_cast<char*>(workspace.take(threads() * scratch_bytes));
  const std::int64_t pieces = few_rows_pieces(op);
#pragma omp parallel for schedule(static) num_threads(threads()) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    few_rows_piece(op, piece, scratch + omp_get_thread_num() * scratch_bytes);
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
  if (op.x.rows <= kFewRows) return threads() * Workspace::rounded(few_rows_scratch_bytes(op));
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
