// How many products a model's definition needs.
#pragma once

#include "longstride/config.h"

namespace longstride {

// Of one forward pass over one sequence, multiply-adds. A double: exact where there are fewer than 2^53, and not to be
// overflowed by any sizes that a configuration may have. The backward pass needs twice as many.
double forward_multiply_adds(const ModelConfig& model);

}  // namespace longstride
