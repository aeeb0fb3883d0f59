// For which operands and streams Hopper's kernels of attention take the place of the portable ones.
#pragma once

#include "cuda/hopper/tensor_map.h"
#include "ops/ops.h"
#include "pattern/walks.h"

namespace longstride::cuda {

// bfloat16, as the copy engine takes it, 32 to 128 channels of keys and of values. Kernels compute with 64 channels of
// both, or with 128, of which those that a head has not are zero: of fewer than 32 little would be left.
inline bool has_hopper_kernel(const Attention& op) {
  const auto suits = [](const Heads& x) { return x.D >= 32 && x.D <= 128 && can_map(x); };
  return suits(op.q) && suits(op.k) && suits(op.v);
}
inline bool has_hopper_kernel(const AttentionBackward& op) { return has_hopper_kernel(op.forward) && can_map(op.dout); }

// A block owns 128 neighbours of a class. Classes of few leave most of it idle, and many small blocks of the portable
// kernel share a multiprocessor instead.
inline constexpr int kFewestOfAClass = 64;
inline bool queries_suit_hopper(const Walks& walks, int sweep, int queries) {
  return queries / walks.step(walks.first_stream(sweep)) >= kFewestOfAClass;
}
inline bool keys_suit_hopper(const Walks& walks, int stream) {
  return walks.keys_of(stream, 0).before(walks.n) >= kFewestOfAClass;
}

}  // namespace longstride::cuda
