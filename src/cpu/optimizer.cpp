#include "cpu/optimizer.h"

#include <algorithm>

#include "cpu/threads.h"

namespace longstride {

namespace {

constexpr std::int64_t kElements = 1 << 15;  // of one piece: the five arrays it touches fit in a core's L2

struct OptimizerKernels {
  void (*adamw)(const AdamW& op, std::int64_t first, std::int64_t last);
  void (*to_bfloat16)(const float* x, std::uint16_t* y, std::int64_t first, std::int64_t last);
};

std::int64_t pieces_of(std::int64_t count) { return (count + kElements - 1) / kElements; }

}  // namespace

}  // namespace longstride

#define LONGSTRIDE_KERNELS "cpu/optimizer.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

void adamw_update(const AdamW& op) {
  const OptimizerKernels& kernels = LONGSTRIDE_CHOOSE(kOptimizerKernels);
  const std::int64_t pieces = pieces_of(op.count);
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    kernels.adamw(op, piece * kElements, std::min(op.count, (piece + 1) * kElements));
}

double sum_of_squares(const float* x, std::int64_t count) {
  constexpr std::int64_t kRun = 4096;  // one piece: sixteen sums side by side, joined in order
  const std::int64_t pieces = (count + kRun - 1) / kRun;
  double total = 0;
  constexpr std::int64_t kAtOnce = 4096;  // pieces whose sums are held; the order of addition does not depend on it
  double sums[kAtOnce];
  for (std::int64_t begin = 0; begin < pieces; begin += kAtOnce) {
    const std::int64_t some = std::min(kAtOnce, pieces - begin);
#pragma omp parallel for num_threads(threads()) schedule(static) if (some > 16)
    for (std::int64_t piece = 0; piece < some; ++piece) {
      const std::int64_t first = (begin + piece) * kRun, last = std::min(count, first + kRun);
      double lanes[16] = {};
      std::int64_t e = first;
      for (; e + 16 <= last; e += 16)
        for (int lane = 0; lane < 16; ++lane) lanes[lane] += static_cast<double>(x[e + lane]) * x[e + lane];
      for (; e < last; ++e) lanes[e % 16] += static_cast<double>(x[e]) * x[e];
      sums[piece] = 0;
      for (const double lane : lanes) sums[piece] += lane;
    }
    for (std::int64_t piece = 0; piece < some; ++piece) total += sums[piece];
  }
  return total;
}

void round_to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) {
  const OptimizerKernels& kernels = LONGSTRIDE_CHOOSE(kOptimizerKernels);
  const std::int64_t pieces = pieces_of(count);
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    kernels.to_bfloat16(x, y, piece * kElements, std::min(count, (piece + 1) * kElements));
}

}  // namespace longstride
