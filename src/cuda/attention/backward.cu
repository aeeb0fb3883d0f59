// This launches attention backward: delta, then dq sweep by sweep, then dk and dv stream by stream.
#include <algorithm>

#include "cuda/attention/attention.h"
#include "cuda/attention/backward_kernels.h"
#include "cuda/attention/launches.h"
#include "cuda/launch.h"

namespace longstride::cuda {

namespace {

// The workspace in pieces that begin at multiples of 16 bytes.
struct Pieces {
  std::int64_t delta, dq, dk, dv, end;  // where they begin
  Pieces(const AttentionBackward& op, const HeadWalks& heads) {
    const auto rounded = [](std::int64_t bytes) { return (bytes + 15) / 16 * 16; };
    const Attention& forward = op.forward;
    delta = 0;
    dq = rounded(forward.B * forward.H * forward.T * static_cast<std::int64_t>(sizeof(float)));
    dk = dq + rounded(partial_sums_bytes(op.dq, heads.sweeps));
    dv = dk + rounded(partial_sums_bytes(op.dk, heads.streams));
    end = dv + rounded(partial_sums_bytes(op.dv, heads.streams));
  }
};

float* floats(void* workspace, std::int64_t offset) {
  return reinterpret_cast<float*>(static_cast<char*>(workspace) + offset);
}

template <class Kernel, class A>
Kernel kernel_of(const AttentionBackward& op, const float* delta) {
  const Attention& forward = op.forward;
  Kernel kernel;
  kernel.T = static_cast<int>(forward.T);
  kernel.H = forward.H;
  kernel.scale = forward.scale;
  kernel.q = HeadsView<A>(forward.q), kernel.k = HeadsView<A>(forward.k), kernel.v = HeadsView<A>(forward.v);
  kernel.dout = HeadsView<A>(op.dout);
  kernel.lse = forward.lse.data, kernel.delta = delta;
  return kernel;
}

template <class A, int kChannels>
void launch_queries(Stream& stream, const AttentionBackward& op, const HeadWalks& all, void* workspace) {
  const Pieces pieces(op, all);
  using Kernel = BackwardQueriesKernel<A, kChannels>;
  auto kernel = kernel_of<Kernel, A>(op, floats(workspace, pieces.delta));
  kernel.dq = {HeadsView<A>(op.dq), partial_sums(op.dq, floats(workspace, pieces.dq))};
  for (kernel.sweep = 0; kernel.sweep < all.sweeps; ++kernel.sweep) {
    const auto blocks_of = [&](const Walks& walks) -> std::int64_t {
      return kernel.sweep < walks.sweeps() ? walks.query_blocks(kernel.sweep, Kernel::kRows, 0, kernel.T) : 0;
    };
    each_launch(all, blocks_of, [&](const LaunchHeads& heads, std::int64_t blocks) {
      kernel.heads = heads;
      launch(stream, kernel, Grid{blocks, heads.heads, op.forward.B});
    });
  }
}

template <class A, int kChannels>
void launch_keys(Stream& stream, const AttentionBackward& op, const HeadWalks& all, void* workspace) {
  const Pieces pieces(op, all);
  using Kernel = BackwardKeysKernel<A, kChannels>;
  auto kernel = kernel_of<Kernel, A>(op, floats(workspace, pieces.delta));
  kernel.dk = {HeadsView<A>(op.dk), partial_sums(op.dk, floats(workspace, pieces.dk))};
  kernel.dv = {HeadsView<A>(op.dv), partial_sums(op.dv, floats(workspace, pieces.dv))};
  for (kernel.sweep = 0; kernel.sweep < all.streams; ++kernel.sweep) {
    const auto blocks_of = [&](const Walks& walks) -> std::int64_t {
      if (kernel.sweep >= walks.streams()) return 0;
      return walks.key_blocks(walks.key_stream(kernel.sweep), Kernel::kRows);
    };
    each_launch(all, blocks_of, [&](const LaunchHeads& heads, std::int64_t blocks) {
      kernel.heads = heads;
      launch(stream, kernel, Grid{blocks, heads.heads, op.forward.B});
    });
  }
}

}  // namespace

AttentionGradient::AttentionGradient(const AttentionBackward& shapes)
    : heads_(shapes.forward), workspace_bytes_(Pieces(shapes, heads_).end) {}

void AttentionGradient::run(Stream& stream, const AttentionBackward& op, void* workspace) const {
  const Attention& forward = op.forward;
  with_kernel_for(forward.q.type, std::max(forward.q.D, forward.v.D), [&]<class A, int kChannels>() {
    using Delta = DeltaKernel<A>;
    const Delta kernel{HeadsView<A>(forward.out), HeadsView<A>(op.dout), floats(workspace, 0), forward.H, forward.T};
    launch(stream, kernel, Grid{divide_up(forward.T, Delta::kThreads / kWarp), forward.H, forward.B});
    launch_queries<A, kChannels>(stream, op, heads_, workspace);
    launch_keys<A, kChannels>(stream, op, heads_, workspace);
  });
}

}  // namespace longstride::cuda
