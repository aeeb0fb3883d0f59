// This runs the embedding of tokens and positions over rows, and gathers its gradient in a fixed order.
#include "cpu/embed.h"

#include <algorithm>

#include "cpu/embed_kernels.h"
#include "cpu/few_rows.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kStrip = 64;  // columns whose gradients one thread adds up, in the order of rows

// Row of this table of position embeddings that row r of the output adds.
std::int64_t index_of(const Embed& op, const Embed::Positions& positions, std::int64_t r) {
  return ((op.at ? op.at[r] : r % op.T) - 1) / positions.divisor % positions.extent;
}

void add_to(float* to, const float* x, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) to[c] += x[c];
}

// What the convolution reads for row r, columns from `first` on.
EmbedTaps convolution_of(const Embed& op, std::int64_t r, std::int64_t C, std::int64_t first, std::int64_t count) {
  EmbedTaps at;
  at.tokens = op.token_before(r);
  at.taps = op.taps_of(r);
  at.kernel = op.kernel.data + first;
  at.token = op.token.data + first;
  at.stride = C;
  at.columns = count;
  return at;
}

}  // namespace

void embed_forward(const Embed& op) {
  const std::int64_t N = op.B * op.T, C = op.out.cols;
#pragma omp parallel for schedule(static) num_threads(team()) if (N > kFewRows)
  for (std::int64_t r = 0; r < N; ++r) {
    float* out = op.out.f32() + r * op.out.stride;
    const std::int64_t token = *op.token_before(r);
    std::copy_n(token < 0 ? op.start.data : op.token.data + token * C, C, out);
    if (token >= 0)
      for (const Embed::Positions& positions : op.positions)
        add_to(out, positions.table.data + index_of(op, positions, r) * C, C);
    for (std::size_t g = 0; g < op.hash.size(); ++g) {
      const std::int64_t row = op.hash_rows[static_cast<std::int64_t>(g) * N + r];
      if (row >= 0) add_to(out, op.hash[g].data + row * C, C);
    }
    if (op.taps > 0) embed_kernels().add_taps(convolution_of(op, r, C, 0, C), out);
  }
}

// dstart += dout of rows without a token before; dtoken[token] and dposition[j][index] += dout of the others;
// dhash[g][hash row] += dout where there is one; what the convolution's taps give to kernel and tokens.
void embed_backward(const EmbedBackward& op) {
  const Embed& forward = op.forward;
  const std::int64_t N = forward.B * forward.T, C = op.dout.cols;
  const std::int64_t strips = (C + kStrip - 1) / kStrip;
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    const std::int64_t first = strip * kStrip, count = std::min(kStrip, C - first);
    for (std::int64_t r = 0; r < N; ++r) {
      const float* dout = op.dout.f32() + r * op.dout.stride + first;
      const std::int64_t token = *forward.token_before(r);
      add_to((token < 0 ? op.dstart.data : op.dtoken.data + token * C) + first, dout, count);
      for (std::size_t j = 0; j < op.dposition.size() && token >= 0; ++j)
        add_to(op.dposition[j].data + index_of(forward, forward.positions[j], r) * C + first, dout, count);
      for (std::size_t g = 0; g < op.dhash.size(); ++g) {
        const std::int64_t row = forward.hash_rows[static_cast<std::int64_t>(g) * N + r];
        if (row >= 0) add_to(op.dhash[g].data + row * C + first, dout, count);
      }
      if (forward.taps > 0) {
        embed_kernels().add_taps_backward(convolution_of(forward, r, C, first, count), dout, op.dkernel.data + first,
                                          op.dtoken.data + first);
      }
    }
  }
}

}  // namespace longstride::cpu
