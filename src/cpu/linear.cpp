// This computes linear and the gradient of its input by products in chunks of rows, or by few_rows where rows are few.
#include "cpu/linear.h"

#include <omp.h>

#include <algorithm>
#include <functional>

#include "cpu/few_rows.h"
#include "cpu/linear_kernels.h"
#include "cpu/row_product.h"
#include "cpu/threads.h"

namespace longstride::cpu {

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

}  // namespace

LinearForward::LinearForward(const Linear& op, Products& products) {
  if (op.x.rows <= kFewRows) {
    scratch_bytes_ = Workspace::rounded(few_rows_scratch_bytes(op));
    return;
  }
  const Matrix& to = op.pre ? op.pre : op.y;
  product_.emplace(products, op.w, true, static_cast<bool>(op.bias), op.x.rows, op.x.stride, to.type, to.stride);
}

std::int64_t LinearForward::workspace_bytes() const {
  return product_ ? product_->workspace_bytes() : threads() * scratch_bytes_;
}

void LinearForward::keep(const Linear& op, PackedWeights& packed) {
  if (product_ && op.x.rows <= kKeptRows) kept_ = packed.copy_of(op.w, *product_);
}

void LinearForward::run(const Linear& op, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  if (!product_) {  // the weights stream past the rows once
    char* scratch = static_cast<char*>(workspace.take(threads() * scratch_bytes_));
    const std::int64_t pieces = few_rows_pieces(op);
#pragma omp parallel for schedule(static) num_threads(team()) if (pieces > 1)
    for (std::int64_t piece = 0; piece < pieces; ++piece)
      few_rows_piece(op, piece, scratch + omp_get_thread_num() * scratch_bytes_);
    return;
  }
  const void* packed = kept_ ? kept_->of(op.w, *product_, workspace) : product_->pack(op.w, workspace);
  void* scratch = workspace.take(product_->threads_bytes());
  const auto finish = [&op](std::int64_t first, std::int64_t count) { activate_rows(op, first, count); };
  const bool needed = op.activation != Activation::none || op.pre;
  check_ran("linear", product_->run(packed, op.x, op.pre ? op.pre : op.y, op.bias.data, scratch,
                                    needed ? RowProduct::Finish(std::cref(finish)) : RowProduct::Finish()));
}

LinearData::LinearData(const LinearBackwardData& op, Products& products)
    : product_(products, op.w, false, false, op.dy.rows, op.dy.stride, op.dx.type, op.dx.stride) {}

// dx = (dy W) * f'(pre)
void LinearData::run(const LinearBackwardData& op, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const void* packed = product_.pack(op.w, workspace);
  void* scratch = workspace.take(product_.threads_bytes());
  const auto finish = [&op](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r)
      linear_kernels().activate_backward(row(op.pre, r), row(op.dx, r), is_bf16(op.dx), op.dx.cols);
  };
  check_ran("linear_backward_data",
            product_.run(packed, op.dy, op.dx, nullptr, scratch,
                         op.pre ? RowProduct::Finish(std::cref(finish)) : RowProduct::Finish()));
}

}  // namespace longstride::cpu
