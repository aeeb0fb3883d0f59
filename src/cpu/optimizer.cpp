// This runs the passes over parameters in chunks of fixed size, so that sums do not depend on threads.
#include "cpu/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cpu/optimizer_kernels.h"
#include "cpu/row_lists.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kChunk = kSquareSumsChunk;  // elements: 16 KiB of each array

std::int64_t chunks_of(std::int64_t count) { return (count + kChunk - 1) / kChunk; }
std::int64_t size_of_chunk(std::int64_t chunk, std::int64_t count) { return std::min(kChunk, count - chunk * kChunk); }

// Rows without a gradient keep w, m and v; an average goes on towards w.
void adamw_rows(const AdamW& op, const AdamWStep& step) {
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t row = 0; row < op.w.count / op.row; ++row) {
    const std::int64_t begin = row * op.row;
    if (!is_zero(op.dw.data + begin, op.row)) {
      optimizer_kernels().adamw(step, begin, op.row);
    } else if (op.ema) {
      for (std::int64_t i = begin; i < begin + op.row; ++i)
        op.ema[i] = op.ema_decay * op.ema[i] + (1 - op.ema_decay) * op.w[i];
    }
  }
}

}  // namespace

void adamw(const AdamW& op, const StepInputs& inputs) {
  if (!std::isfinite(op.scale[0])) return;
  const AdamWStep step{op.w.data,    op.m.data,   op.v.data,    op.dw.data,         op.ema.data,
                       op.copy.data, op.scale[0], inputs.rate,  op.beta1,           op.beta2,
                       op.epsilon,   op.decay,    op.ema_decay, inputs.correction1, inputs.correction2};
  if (op.row > 0) return adamw_rows(op, step);
  const std::int64_t chunks = chunks_of(op.w.count);
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    optimizer_kernels().adamw(step, chunk * kChunk, size_of_chunk(chunk, op.w.count));
}

void sum(const Sum& op) {
  const std::int64_t count = op.out.count, chunks = chunks_of(count);
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = chunk * kChunk, end = begin + size_of_chunk(chunk, count);
    for (std::int64_t i = begin; i < end; ++i) op.out[i] = op.a[i] + op.b[i];
  }
}

void square_sums(const SquareSums& op) {
  const std::int64_t count = op.x.count;
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < op.sums.count; ++chunk)
    op.sums[chunk] = optimizer_kernels().sum_squares(op.x.data + chunk * kChunk, size_of_chunk(chunk, count));
}

// norm = sqrt(sum of squares);  scale = min(1, clip / norm)
void gradient_norm(const GradientNorm& op) {
  double total = 0;
  for (std::int64_t chunk = 0; chunk < op.squares.count; ++chunk) total += op.squares[chunk];
  const double norm = std::sqrt(total);
  const bool finite = std::isfinite(norm) && (!op.bits || std::isfinite(op.bits[0]));
  op.norm[0] = norm;
  op.scale[0] = !finite ? NAN : op.clip > 0 && norm > op.clip ? static_cast<float>(op.clip / norm) : 1.0f;
}

void sum_bits(const SumBits& op) {
  double sum = op.sum[0];
  for (std::int64_t n = 0; n < op.losses.count; ++n) sum += static_cast<float>(op.losses[n] / std::numbers::ln2);
  op.sum[0] = sum;
}

void round(const Round& op) {
  const std::int64_t count = op.x.count, chunks = chunks_of(count);
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    optimizer_kernels().to_bfloat16(op.x.data + chunk * kChunk, op.y.data + chunk * kChunk,
                                    size_of_chunk(chunk, count));
}

void exchange(const Exchange& op) {
  const std::int64_t count = op.a.count, chunks = chunks_of(count);
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    float* a = op.a.data + chunk * kChunk;
    std::swap_ranges(a, a + size_of_chunk(chunk, count), op.b.data + chunk * kChunk);
  }
}

void zero(const Zero& op) { std::fill_n(op.memory.data, op.memory.count, 0.0f); }

}  // namespace longstride::cpu
