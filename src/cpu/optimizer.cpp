#include "cpu/optimizer.h"

#include <algorithm>

#include "cpu/optimizer_kernels.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

constexpr std::int64_t kChunk = 4096;  // elements: 16 KiB of each array, a multiple of every vector

std::int64_t chunks_of(std::int64_t count) { return (count + kChunk - 1) / kChunk; }
std::int64_t size_of_chunk(std::int64_t chunk, std::int64_t count) { return std::min(kChunk, count - chunk * kChunk); }

}  // namespace

void adamw(const AdamW& op) {
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
