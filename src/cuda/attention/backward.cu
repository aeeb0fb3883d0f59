// This launches attention backward: delta, then dq sweep by sweep, then dk and dv stream by stream.
#include <algorithm>
#include <type_traits>

#include "cuda/attention/attention.h"
#include "cuda/attention/backward_kernels.h"
#include "cuda/attention/launches.h"
#include "cuda/hopper/backward_kernels.h"
#include "cuda/hopper/suits.h"
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

// Of each sweep or stream of `passes`, one after the other: what `suits` says goes to Hopper's kernel where there is
// one, the rest to the portable one. blocks(walks, rows): how many of so many rows the pass has.
template <class Kernel, class Suits, class Blocks, class WithHopper>
void launch_passes(Stream& stream, const AttentionBackward& op, const HeadWalks& all, Kernel& kernel, int passes,
                   bool hopper, const Suits& suits, const Blocks& blocks, const WithHopper& with_hopper) {
  for (kernel.sweep = 0; kernel.sweep < passes; ++kernel.sweep) {
    const auto launch_of = [&](auto& launched, bool is_hopper, int rows) {
      const auto blocks_of = [&](const Walks& walks) -> std::int64_t {
        const std::int64_t count = blocks(walks, rows);
        return count > 0 && (hopper && suits(walks)) == is_hopper ? count : 0;
      };
      each_launch(all, blocks_of, [&](const LaunchHeads& heads, std::int64_t most) {
        kernel.heads = heads;
        if constexpr (!std::is_same_v<std::remove_reference_t<decltype(launched)>, Kernel>) launched.portable = kernel;
        launch(stream, launched, Grid{most, heads.heads, op.forward.B});
      });
    };
    launch_of(kernel, false, Kernel::kRows);
    if (hopper) with_hopper(launch_of);
  }
}

template <class A, int kChannels>
void launch_queries(Stream& stream, const AttentionBackward& op, const HeadWalks& all, bool hopper, void* workspace) {
  const Pieces pieces(op, all);
  using Kernel = BackwardQueriesKernel<A, kChannels>;
  auto kernel = kernel_of<Kernel, A>(op, floats(workspace, pieces.delta));
  kernel.dq = {HeadsView<A>(op.dq), partial_sums(op.dq, floats(workspace, pieces.dq))};
  const auto suits = [&](const Walks& walks) { return queries_suit_hopper(walks, kernel.sweep, kernel.T); };
  const auto blocks = [&](const Walks& walks, int rows) -> std::int64_t {
    return kernel.sweep < walks.sweeps() ? walks.query_blocks(kernel.sweep, rows, 0, kernel.T) : 0;
  };
  launch_passes(stream, op, all, kernel, all.sweeps, hopper, suits, blocks, [&](const auto& launch_of) {
    if constexpr (std::is_same_v<A, bf16> && kChannels <= 128) {
      using Hopper = HopperBackwardQueriesKernel<kChannels>;
      Hopper with{kernel, {map_of(op.forward.q), map_of(op.dout)}, {map_of(op.forward.k), map_of(op.forward.v)}};
      launch_of(with, true, Hopper::kBlockRows);
    }
  });
}

template <class A, int kChannels>
void launch_keys(Stream& stream, const AttentionBackward& op, const HeadWalks& all, bool hopper, void* workspace) {
  const Pieces pieces(op, all);
  using Kernel = BackwardKeysKernel<A, kChannels>;
  auto kernel = kernel_of<Kernel, A>(op, floats(workspace, pieces.delta));
  kernel.dk = {HeadsView<A>(op.dk), partial_sums(op.dk, floats(workspace, pieces.dk))};
  kernel.dv = {HeadsView<A>(op.dv), partial_sums(op.dv, floats(workspace, pieces.dv))};
  const auto suits = [&](const Walks& walks) { return keys_suit_hopper(walks, walks.key_stream(kernel.sweep)); };
  const auto blocks = [&](const Walks& walks, int rows) -> std::int64_t {
    return kernel.sweep < walks.streams() ? walks.key_blocks(walks.key_stream(kernel.sweep), rows) : 0;
  };
  launch_passes(stream, op, all, kernel, all.streams, hopper, suits, blocks, [&](const auto& launch_of) {
    if constexpr (std::is_same_v<A, bf16> && kChannels <= 128) {
      using Hopper = HopperBackwardKeysKernel<kChannels>;
      Hopper with{kernel, {map_of(op.forward.k), map_of(op.forward.v)}, {map_of(op.forward.q), map_of(op.dout)}};
      launch_of(with, true, Hopper::kBlockRows);
    }
  });
}

}  // namespace

AttentionGradient::AttentionGradient(const AttentionBackward& shapes, AttentionKernels kernels)
    : heads_(shapes.forward), kernels_(kernels), workspace_bytes_(Pieces(shapes, heads_).end) {}

void AttentionGradient::run(Stream& stream, const AttentionBackward& op, void* workspace) const {
  const Attention& forward = op.forward;
  const bool hopper = kernels_ == AttentionKernels::hopper && has_hopper_kernel(op);
  with_kernel_for(forward.q.type, std::max(forward.q.D, forward.v.D), [&]<class A, int kChannels>() {
    using Delta = DeltaKernel<A>;
    const Delta kernel{HeadsView<A>(forward.out), HeadsView<A>(op.dout), floats(workspace, 0), forward.H, forward.T};
    launch(stream, kernel, Grid{divide_up(forward.T, Delta::kThreads / kWarp), forward.H, forward.B});
    launch_queries<A, kChannels>(stream, op, heads_, hopper, workspace);
    launch_keys<A, kChannels>(stream, op, heads_, hopper, workspace);
  });
}

}  // namespace longstride::cuda
