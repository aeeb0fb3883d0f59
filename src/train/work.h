// Multiply-adds that a training step needs by definition: pairs that attend, and nothing that is computed again.
#pragma once

#include <cstdint>

#include "longstride/config.h"

namespace longstride {

// Of all batches of a step, forward and backward. Error invalid_argument where 64 bits do not hold them.
std::int64_t multiply_adds_per_step(const Config& config);

}  // namespace longstride
