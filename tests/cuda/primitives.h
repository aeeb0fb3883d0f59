// What kernels are built of, each in a kernel of its own, so that a card can be asked for it alone. In cuda_test the
// twin answers, in card_test the card (primitives.cu is compiled by g++ and by nvcc).
#pragma once

#include <cstdint>

#include "cuda/card.h"
#include "cuda/text.h"

namespace longstride::cuda {

inline constexpr int kProductRows = 32, kProductColumns = 64, kProductChannels = 64;

// scores (rows, columns) = own (rows, channels) times walked (columns, channels), transposed; then sums (rows,
// channels) = scores, rounded to A, times walked. Both tiles come by asynchronous copies.
template <class A>
struct TileProducts {
  const A *own = nullptr, *walked = nullptr;
  float *scores = nullptr, *sums = nullptr;
};
void launch_products(Stream& stream, const TileProducts<bf16>& operands);
void launch_products(Stream& stream, const TileProducts<float>& operands);

// Of each thread of a block of 64: what it gets from the others.
struct Exchanged {
  std::uint32_t from_5, from_neighbour, from_3_below, ballot, any_of_block, none_of_block, block_sum, column_has;
};
inline constexpr int kExchangeThreads = 64;
void launch_exchange(Stream& stream, Exchanged* out);

// The functions that kernels call, of x[i].
struct Functions {
  float exp, log, exp2, log2, sqrt, fused, rounded;
};
void launch_functions(Stream& stream, const float* x, Functions* out, std::int64_t count);

}  // namespace longstride::cuda
