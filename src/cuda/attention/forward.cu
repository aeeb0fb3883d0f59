// This launches attention forward: one launch a sweep, each for all heads that have it.
#include <algorithm>

#include "cuda/attention/attention.h"
#include "cuda/attention/forward_kernel.h"
#include "cuda/attention/launches.h"
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

AttentionForward::AttentionForward(const Attention& shapes)
    : heads_(shapes), workspace_bytes_(partial_sums_bytes(shapes.out, heads_.sweeps)) {}

void AttentionForward::run(Stream& stream, const Attention& op, void* workspace) const {
  with_kernel_for(op.q.type, std::max(op.q.D, op.v.D), [&]<class A, int kChannels>() {
    using Kernel = ForwardKernel<A, kChannels>;
    Kernel kernel;
    kernel.first = static_cast<int>(op.first), kernel.queries = static_cast<int>(op.q.T);
    kernel.H = op.H;
    kernel.scale = op.scale * kLog2e;
    kernel.q = HeadsView<A>(op.q), kernel.k = HeadsView<A>(op.k), kernel.v = HeadsView<A>(op.v);
    kernel.out = {HeadsView<A>(op.out), partial_sums(op.out, static_cast<float*>(workspace))};
    kernel.lse = op.lse.data;
    for (kernel.sweep = 0; kernel.sweep < heads_.sweeps; ++kernel.sweep) {
      const auto blocks_of = [&](const Walks& walks) -> std::int64_t {
        if (kernel.sweep >= walks.sweeps()) return 0;
        return walks.query_blocks(kernel.sweep, Kernel::kRows, kernel.first, kernel.first + kernel.queries);
      };
      each_launch(heads_, blocks_of, [&](const LaunchHeads& heads, std::int64_t blocks) {
        kernel.heads = heads;
        launch(stream, kernel, Grid{blocks, heads.heads, op.B});
      });
    }
  });
}

}  // namespace longstride::cuda
