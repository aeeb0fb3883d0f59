// Sums of table rows: bound by memory, so that plain loops, which compilers vectorise, do.
#include "cpu/embed.h"

#include <algorithm>

#include "cpu/threads.h"

namespace longstride {

namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kColumns = 64;  // a thread's share of the backward pass: rows in order, so no sum changes order

// Row of position table j that position p (> 0) reads: the embedding is shifted with the token.
std::int64_t index_of(const Embed& op, int j, std::int64_t p) { return (p - 1) / op.divisor[j] % op.extent[j]; }

void add(float* to, const float* from, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) to[c] += from[c];
}

void embed_row(const Embed& op, std::int64_t row) {
  const std::int64_t C = op.out.cols, position = op.first + row % op.T;
  float* out = op.out.f32() + row * op.out.stride;
  const std::int32_t token = op.tokens[row];
  if (token < 0) {
    std::copy_n(op.start, C, out);
    return;
  }
  std::copy_n(op.token + token * C, C, out);
  for (int j = 0; j < op.positions; ++j) add(out, op.position[j] + index_of(op, j, position) * C, C);
}

}  // namespace

void embed_forward(const Embed& op) {
  const std::int64_t N = op.B * op.T, pieces = (N + kRows - 1) / kRows;
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    for (std::int64_t row = piece * kRows; row < std::min(N, (piece + 1) * kRows); ++row) embed_row(op, row);
}

// dstart, dtoken and dposition gain, row by row in ascending order, what out's gradient gave the rows that read them.
void embed_backward(const EmbedBackward& op) {
  const Embed& forward = op.forward;
  const std::int64_t N = forward.B * forward.T, C = op.dout.cols, pieces = (C + kColumns - 1) / kColumns;
#pragma omp parallel for num_threads(threads()) schedule(static) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t c = piece * kColumns, count = std::min(C - c, kColumns);
    for (std::int64_t row = 0; row < N; ++row) {
      const float* dout = op.dout.f32() + row * op.dout.stride + c;
      const std::int32_t token = forward.tokens[row];
      if (token < 0) {
        add(op.dstart + c, dout, count);
        continue;
      }
      add(op.dtoken + token * C + c, dout, count);
      for (int j = 0; j < forward.positions; ++j)
        add(op.dposition[j] + index_of(forward, j, forward.first + row % forward.T) * C + c, dout, count);
    }
  }
}

}  // namespace longstride
