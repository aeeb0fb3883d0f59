// This packs one factor of a product and runs the other through it in chunks of rows, on all threads.
#include "cpu/row_product.h"

#include <omp.h>

#include <algorithm>
#include <cassert>

#include "cpu/linear_kernels.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

// Rows of `from` in float32, dense.
void widen_rows(const Matrix& from, std::int64_t first, std::int64_t count, float* to) {
  const LinearKernels& kernels = linear_kernels();
  for (std::int64_t r = 0; r < count; ++r)
    kernels.widen(from.bf16() + (first + r) * from.stride, to + r * from.cols, from.cols);
}

void widen_all(const Matrix& from, float* to) {
  const std::int64_t chunks = (from.rows + kChunkRows - 1) / kChunkRows;
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t first = chunk * kChunkRows;
    widen_rows(from, first, std::min(kChunkRows, from.rows - first), to + first * from.cols);
  }
}

}  // namespace

RowProduct::RowProduct(Products& products, const Matrix& b, bool transposed, bool bias, std::int64_t rows,
                       std::int64_t a_stride, DType result, std::int64_t c_stride)
    : K_(transposed ? b.cols : b.rows), M_(transposed ? b.rows : b.cols) {
  widened_ = b.type == DType::bfloat16 && !native_bfloat16_products();
  narrow_ = widened_ && result == DType::bfloat16;
  if (widened_) a_bytes_ = Workspace::rounded(kChunkRows * K_ * 4);
  if (narrow_) c_bytes_ = Workspace::rounded(kChunkRows * M_ * 4);
  const std::int64_t b_stride = widened_ ? b.cols : b.stride;
  ProductShape shape;
  shape.n = M_;
  shape.k = K_;
  shape.type = widened_ ? DType::float32 : b.type;
  shape.result = narrow_ ? DType::float32 : result;
  shape.a_row = widened_ ? K_ : a_stride;
  shape.b_row = transposed ? 1 : b_stride;
  shape.b_column = transposed ? b_stride : 1;
  shape.c_row = narrow_ ? M_ : c_stride;
  shape.pack = true;
  shape.bias = bias;
  shape.m = kChunkRows;
  if (rows >= kChunkRows) make(products, whole_, shape);
  rest_rows_ = rows % kChunkRows;
  shape.m = rest_rows_;
  if (rest_rows_ > 0) make(products, rest_, shape);
  if (widened_) widened_bytes_ = Workspace::rounded(b.rows * b.cols * 4);
}

void RowProduct::make(Products& products, Kind& kind, const ProductShape& shape) {
  kind.product = &products.find(shape);
  scratch_bytes_ = std::max(scratch_bytes_, Workspace::rounded(kind.product->scratch_bytes()));
  if (&kind == &rest_ && rest_packs_alike()) return;
  kind.packed = packed_bytes_;
  packed_bytes_ += Workspace::rounded(kind.product->packed_bytes());
}

std::int64_t RowProduct::threads_bytes() const { return threads() * (scratch_bytes_ + a_bytes_ + c_bytes_); }

bool RowProduct::rest_packs_alike() const {
  return whole_.product != nullptr && rest_.product != nullptr && rest_.product->packs_like(*whole_.product);
}

RowProduct::Order RowProduct::order() const { return {whole_.product, rest_packs_alike() ? nullptr : rest_.product}; }

void RowProduct::pack(const Matrix& b, void* packed, void* widened) const {
  auto* to = static_cast<char*>(packed);
  const void* from = b.data;
  if (widened_) {
    widen_all(b, static_cast<float*>(widened));
    from = widened;
  }
  if (whole_.product != nullptr) whole_.product->pack(from, to + whole_.packed);
  if (rest_.product != nullptr && !rest_packs_alike()) rest_.product->pack(from, to + rest_.packed);
}

const void* RowProduct::pack(const Matrix& b, Workspace& workspace) const {
  void* packed = workspace.take(packed_bytes_);
  pack(b, packed, workspace.take(widened_bytes_));
  return packed;
}

bool RowProduct::chunk(const void* packed, const float* bias, char* scratch, int thread, const Matrix& a,
                       const Matrix& c, std::int64_t first, std::int64_t count) const {
  const Kind& kind = count == kChunkRows ? whole_ : rest_;
  const void* from = a.rows_from(first, count).data;
  void* to = c.rows_from(first, count).data;
  auto* wide_c = reinterpret_cast<float*>(scratch + scratch_bytes_ + a_bytes_);
  if (widened_) {
    auto* wide_a = reinterpret_cast<float*>(scratch + scratch_bytes_);
    widen_rows(a, first, count, wide_a);
    from = wide_a;
    if (narrow_) to = wide_c;
  }
  if (!kind.product->run(thread, from, static_cast<const char*>(packed) + kind.packed, to, bias, scratch)) return false;
  if (narrow_) {
    for (std::int64_t r = 0; r < count; ++r)
      linear_kernels().narrow(wide_c + r * M_, c.bf16() + (first + r) * c.stride, M_);
  }
  return true;
}

bool RowProduct::run(const void* packed, const Matrix& a, const Matrix& c, const float* bias, void* scratch,
                     const Finish& finish) const {
  assert(a.rows % kChunkRows == 0 || a.rows % kChunkRows == rest_rows_);
  const std::int64_t chunks = (a.rows + kChunkRows - 1) / kChunkRows;
  for (const Kind* kind : {&whole_, &rest_})  // the number of threads may be another than when this was made
    if (kind->product != nullptr) kind->product->prepare(threads());
  bool ran = true;
#pragma omp parallel num_threads(team()) reduction(&& : ran)
  {
    const OneThread one;
    const int thread = omp_get_thread_num();
    char* memory = static_cast<char*>(scratch) + thread * (scratch_bytes_ + a_bytes_ + c_bytes_);
#pragma omp for schedule(dynamic)
    for (std::int64_t index = 0; index < chunks; ++index) {
      const std::int64_t first = index * kChunkRows;
      const std::int64_t count = std::min(kChunkRows, a.rows - first);
      ran = chunk(packed, bias, memory, thread, a, c, first, count) && ran;
      if (finish) finish(first, count);
    }
  }
  return ran;
}

}  // namespace longstride::cpu
