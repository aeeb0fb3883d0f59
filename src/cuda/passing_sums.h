// Which operations sum in passing. A layer's way back multiplies by the slope of its activation (LinearBackwardData),
// and an operation or two later adds up the columns of the result, for the gradient of a bias (LinearBackwardWeights):
// where nothing between them forbids it, the former does both in one pass over memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ops/ops.h"

namespace longstride::cuda {

struct PassingSums {
  // One an operation. of: the later one whose dbias a LinearBackwardData adds up; 0: none. taken: this one's dbias is.
  std::vector<std::size_t> of;
  std::vector<bool> taken;
};

// Follows from what operations name alone, whether it has an address or not, so that a plan knows it too.
PassingSums passing_sums(std::span<const Operation> operations);

}  // namespace longstride::cuda
