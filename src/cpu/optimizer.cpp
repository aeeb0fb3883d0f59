// This runs the passes over parameters in chunks of fixed size, so that sums do not depend on threads.
#include "cpu/optimizer.h"

#include <algorithm>
#include <bit>

#include "cpu/optimizer_kernels.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

constexpr std::int64_t kChunk = 4096;  // elements: 16 KiB of each array, a multiple of every vector

std::int64_t chunks_of(std::int64_t count) { return (count + kChunk - 1) / kChunk; }
std::int64_t size_of_chunk(std::int64_t chunk, std::int64_t count) { return std::min(kChunk, count - chunk * kChunk); }

bool is_zero(const float* x, std::int64_t count) {
  std::uint32_t bits = 0;
  for (std::int64_t i = 0; i < count; ++i) bits |= std::bit_cast<std::uint32_t>(x[i]) << 1;  // -0 is zero too
  return bits == 0;
}

// Rows without a gradient keep w, m and v; an average goes on towards w.
void adamw_rows(const AdamW& op) {
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t row = 0; row < op.count / op.row; ++row) {
    const std::int64_t begin = row * op.row;
    if (!is_zero(op.dw + begin, op.row)) {
      optimizer_kernels().adamw(op, begin, op.row);
    } else if (op.ema != nullptr) {
      for (std::int64_t i = begin; i < begin + op.row; ++i)
        op.ema[i] = op.ema_decay * op.ema[i] + (1 - op.ema_decay) * op.w[i];
    }
  }
}

}  // namespace

void adamw(const AdamW& op) {
  if (op.row > 0) return adamw_rows(op);
  const std::int64_t chunks = chunks_of(op.count);
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    optimizer_kernels().adamw(op, chunk * kChunk, size_of_chunk(chunk, op.count));
}

double sum_squares(const float* x, std::int64_t count, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t chunks = chunks_of(count);
  auto* sums = static_cast<double*>(workspace.take(chunks * 8));
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    sums[chunk] = optimizer_kernels().sum_squares(x + chunk * kChunk, size_of_chunk(chunk, count));
  double total = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
  return total;
}

void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) {
  const std::int64_t chunks = chunks_of(count);
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    optimizer_kernels().to_bfloat16(x + chunk * kChunk, y + chunk * kChunk, size_of_chunk(chunk, count));
}

}  // namespace longstride
