// Reductions within a warp and a block, in an order that the number of threads alone decides.
#pragma once

#include "cuda/grid.h"
#include "cuda/text.h"

namespace longstride::cuda {

struct Add {
  template <class T>
  LONGSTRIDE_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Largest {
  template <class T>
  LONGSTRIDE_DEVICE T operator()(T a, T b) const {
    return max(a, b);
  }
};

// Of the values of all lanes; every lane gets the same bits, for neighbours of a step combine the same two numbers.
template <class T, class Combine, class Block>
LONGSTRIDE_DEVICE T reduce_warp(Block& block, T x, const Combine& combine) {
  LONGSTRIDE_UNROLL
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x = combine(x, block.shuffle_xor(x, mask));
  return x;
}

// Of the values of all threads, which all get it. of_warps: shared, one T a warp, used by nothing else until the block's
// next sync.
template <class T, class Combine, class Block>
LONGSTRIDE_DEVICE T reduce_block(Block& block, T x, T* of_warps, const Combine& combine) {
  x = reduce_warp(block, x, combine);
  block.sync();  // what was there before has been read
  if (block.lane() == 0) of_warps[block.warp()] = x;
  block.sync();
  T all = of_warps[0];
  for (int w = 1; w < block.threads() / kWarp; ++w) all = combine(all, of_warps[w]);
  return all;
}

}  // namespace longstride::cuda
