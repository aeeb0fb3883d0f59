// This packs one factor of a product and runs the other through it in chunks of rows, on all threads.
#include "cpu/row_product.h"

#include <omp.h>

#include <algorithm>
#include <cassert>

#include "cpu/linear_kernels.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

// Rows of `from` in float32, dense.
void widen_rows(const Matrix& from, std::int64_t first, std::int64_t count, float* to) {
  const LinearKernels& kernels = linear_kernels();
  for (std::int64_t r = 0; r < count; ++r)
    kernels.widen(from.bf16() + (first + r) * from.stride, to + r * from.cols, from.cols);
}

void widen_all(const Matrix& from, float* to) {
  const std::int64_t chunks = (from.rows + kChunkRows - 1) / kChunkRows;
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t first = chunk * kChunkRows;
    widen_rows(from, first, std::min(kChunkRows, from.rows - first), to + first * from.cols);
  }
}

}  // namespace

RowProduct::RowProduct(Products& products, Workspace* workspace, Matrix b, bool transposed, const float* bias,
                       std::int64_t rows, std::int64_t a_stride, DType result, std::int64_t c_stride)
    : products_(products),
      workspace_(workspace),
      K_(transposed ? b.cols : b.rows),
      M_(transposed ? b.rows : b.cols),
      bias_(bias),
      b_(b) {
  if (b.type == DType::bfloat16 && !native_bfloat16_products()) {
    widened_ = true;
    narrow_ = result == DType::bfloat16;
    auto* wide = static_cast<float*>(take(b.rows * b.cols * 4));
    if (workspace_ != nullptr) widen_all(b, wide);
    b_ = matrix(wide, DType::float32, b.rows, b.cols);
    a_bytes_ = Workspace::rounded(kChunkRows * K_ * 4);
    if (narrow_) c_bytes_ = Workspace::rounded(kChunkRows * M_ * 4);
  }
  ProductShape shape;
  shape.n = M_;
  shape.k = K_;
  shape.type = b_.type;
  shape.result = narrow_ ? DType::float32 : result;
  shape.a_row = widened_ ? K_ : a_stride;
  shape.b_row = transposed ? 1 : b_.stride;
  shape.b_column = transposed ? b_.stride : 1;
  shape.c_row = narrow_ ? M_ : c_stride;
  shape.pack = true;
  shape.bias = bias != nullptr;
  shape.m = kChunkRows;
  if (rows >= kChunkRows) pack(whole_, shape);
  rest_rows_ = rows % kChunkRows;
  shape.m = rest_rows_;
  if (rest_rows_ > 0) pack(rest_, shape);
  threads_memory_ = static_cast<char*>(take(threads() * (scratch_bytes_ + a_bytes_ + c_bytes_)));
}

void* RowProduct::take(std::int64_t bytes) {
  bytes_ += Workspace::rounded(bytes);
  return workspace_ == nullptr ? nullptr : workspace_->take(bytes);
}

void RowProduct::pack(Kind& kind, const ProductShape& shape) {
  kind.product = &products_.find(shape);
  scratch_bytes_ = std::max(scratch_bytes_, Workspace::rounded(kind.product->scratch_bytes()));
  if (&kind == &rest_ && whole_.product != nullptr && rest_.product->packs_like(*whole_.product)) {
    kind.packed = whole_.packed;
    return;
  }
  kind.packed = take(kind.product->packed_bytes());
  if (workspace_ != nullptr) kind.product->pack(b_.data, kind.packed);
}

bool RowProduct::chunk(int thread, const Matrix& a, const Matrix& c, std::int64_t first, std::int64_t count) const {
  const Kind& kind = count == kChunkRows ? whole_ : rest_;
  char* scratch = threads_memory_ + thread * (scratch_bytes_ + a_bytes_ + c_bytes_);
  const void* from = a.rows_from(first, count).data;
  void* to = c.rows_from(first, count).data;
  auto* wide_c = reinterpret_cast<float*>(scratch + scratch_bytes_ + a_bytes_);
  if (widened_) {
    auto* wide_a = reinterpret_cast<float*>(scratch + scratch_bytes_);
    widen_rows(a, first, count, wide_a);
    from = wide_a;
    if (narrow_) to = wide_c;
  }
  if (!kind.product->run(thread, from, kind.packed, to, bias_, scratch)) return false;
  if (narrow_) {
    for (std::int64_t r = 0; r < count; ++r)
      linear_kernels().narrow(wide_c + r * M_, c.bf16() + (first + r) * c.stride, M_);
  }
  return true;
}

bool RowProduct::run(const Matrix& a, const Matrix& c, const Finish& finish) const {
  assert(a.rows % kChunkRows == 0 || a.rows % kChunkRows == rest_rows_);
  const std::int64_t chunks = (a.rows + kChunkRows - 1) / kChunkRows;
  bool ran = true;
#pragma omp parallel num_threads(threads()) reduction(&& : ran)
  {
    const OneThread one;
    const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
    for (std::int64_t index = 0; index < chunks; ++index) {
      const std::int64_t first = index * kChunkRows;
      const std::int64_t count = std::min(kChunkRows, a.rows - first);
      ran = chunk(thread, a, c, first, count) && ran;
      if (finish) finish(first, count);
    }
  }
  return ran;
}

}  // namespace longstride
