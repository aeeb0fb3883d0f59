// Products of whole tiles by a warpgroup, as attention needs them. Each asks for products of one group: they are there
// when the group is waited for.
#pragma once

#include <cstdint>

#include "cuda/attention/fragments.h"
#include "cuda/hopper/operands.h"
#include "cuda/text.h"

namespace longstride::cuda {

// sum (64 x 8 kTiles) becomes rows of Left times rows of Right, transposed: over all of kChannels. left, right: where
// the tiles begin in shared memory.
template <class Left, class Right, class Unit, int kTiles>
LONGSTRIDE_DEVICE void ask_for_rows(Unit& unit, float (&sum)[kTiles][4], std::uint32_t left, std::uint32_t right) {
  static_assert(Left::kPanels == Right::kPanels);
  LONGSTRIDE_UNROLL
  for (int c = 0; c < Left::kPanels * kBoxChannels; c += 16)
    unit.template multiply<false>(sum, rows_operand<Left>(left, 0, c), rows_operand<Right>(right, 0, c), c > 0);
}
// sum (64 x channels of Right) += left (64 x 16 kSteps) x rows of Right.
template <class Right, class Unit, int kTiles, int kSteps>
LONGSTRIDE_DEVICE void ask_for_columns(Unit& unit, float (&sum)[kTiles][4], const std::uint32_t (&left)[kSteps][4],
                                       std::uint32_t right) {
  static_assert(Right::kPanels * kBoxChannels == 8 * kTiles);
  LONGSTRIDE_UNROLL
  for (int k = 0; k < kSteps; ++k)
    unit.template multiply<true>(sum, left[k], columns_operand<Right>(right, 16 * k), true);
}

// Sums of one product as the left operand of the next, in bfloat16.
template <int kSteps>
LONGSTRIDE_DEVICE void pack_left(const float (&sum)[2 * kSteps][4], std::uint32_t (&left)[kSteps][4]) {
  LONGSTRIDE_UNROLL
  for (int k = 0; k < kSteps; ++k) {
    const float(&a)[4] = sum[2 * k], (&b)[4] = sum[2 * k + 1];
    left[k][0] = pack(a[0], a[1]), left[k][1] = pack(a[2], a[3]);
    left[k][2] = pack(b[0], b[1]), left[k][3] = pack(b[2], b[3]);
  }
}

}  // namespace longstride::cuda
