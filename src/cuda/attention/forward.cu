// This launches attention forward: one launch a sweep, each for all heads that have it.
#include <algorithm>
#include <type_traits>

#include "cuda/attention/attention.h"
#include "cuda/attention/forward_kernel.h"
#include "cuda/attention/launches.h"
#include "cuda/hopper/forward_kernel.h"
#include "cuda/hopper/suits.h"
#include "cuda/launch.h"

namespace longstride::cuda {

HeadWalks::HeadWalks(const Attention& shapes) {
  std::vector<const Tiling*> known;
  for (std::int64_t h = 0; h < shapes.H; ++h) {
    const auto at = std::find(known.begin(), known.end(), shapes.tilings[h]) - known.begin();
    of_head.push_back(static_cast<int>(at));
    if (at < static_cast<std::ptrdiff_t>(known.size())) continue;
    known.push_back(shapes.tilings[h]);
    walks.push_back(walks_of(shapes.tilings[h]->pattern(), shapes.T));
    sweeps = std::max(sweeps, walks.back().sweeps());
    streams = std::max(streams, walks.back().streams());
  }
}

AttentionForward::AttentionForward(const Attention& shapes, AttentionKernels kernels)
    : heads_(shapes), kernels_(kernels), workspace_bytes_(partial_sums_bytes(shapes.out, heads_.sweeps)) {}

template <class A, int kChannels>
void AttentionForward::launch_sweeps(Stream& stream, const Attention& op, float* partial) const {
  using Kernel = ForwardKernel<A, kChannels>;
  Kernel kernel;
  kernel.first = static_cast<int>(op.first), kernel.queries = static_cast<int>(op.q.T);
  kernel.H = op.H;
  kernel.scale = op.scale * kLog2e;
  kernel.q = HeadsView<A>(op.q), kernel.k = HeadsView<A>(op.k), kernel.v = HeadsView<A>(op.v);
  kernel.out = {HeadsView<A>(op.out), partial_sums(op.out, partial)};
  kernel.lse = op.lse.data;
  const bool hopper = kernels_ == AttentionKernels::hopper && has_hopper_kernel(op);
  const auto launch_of = [&]<class Launched>(Launched& launched, bool is_hopper, int rows) {
    const auto blocks_of = [&](const Walks& walks) -> std::int64_t {
      if (kernel.sweep >= walks.sweeps()) return 0;
      if ((hopper && queries_suit_hopper(walks, kernel.sweep, kernel.queries)) != is_hopper) return 0;
      return walks.query_blocks(kernel.sweep, rows, kernel.first, kernel.first + kernel.queries);
    };
    each_launch(heads_, blocks_of, [&](const LaunchHeads& heads, std::int64_t blocks) {
      kernel.heads = heads;
      if constexpr (!std::is_same_v<Launched, Kernel>) launched.portable = kernel;
      launch(stream, launched, Grid{blocks, heads.heads, op.B});
    });
  };
  for (kernel.sweep = 0; kernel.sweep < heads_.sweeps; ++kernel.sweep) {
    launch_of(kernel, false, Kernel::kRows);
    if constexpr (std::is_same_v<A, bf16> && kChannels <= 128) {
      if (!hopper) continue;
      HopperForwardKernel<kChannels> with{kernel, map_of(op.q), map_of(op.k), map_of(op.v)};
      launch_of(with, true, HopperForwardKernel<kChannels>::kBlockRows);
    }
  }
}

void AttentionForward::run(Stream& stream, const Attention& op, void* workspace) const {
  with_kernel_for(op.q.type, std::max(op.q.D, op.v.D), [&]<class A, int kChannels>() {
    launch_sweeps<A, kChannels>(stream, op, static_cast<float*>(workspace));
  });
}

}  // namespace longstride::cuda
