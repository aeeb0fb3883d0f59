// Multiply-adds that a definition needs: products, pairs that attend, and nothing that is computed again.
#pragma once

#include <cstdint>
#include <functional>

#include "longstride/config.h"
#include "longstride/pattern.h"

namespace longstride {

// Calls visit(pattern, blocks) for every head of every block that is unlike those before it: so many blocks have it.
void each_head(const ModelConfig& model, const std::function<void(const Pattern&, std::int64_t blocks)>& visit);

// Of one forward pass over one sequence, multiply-adds. A double: exact where there are fewer than 2^53, and not to be
// overflowed by any sizes that a configuration may have. The backward pass needs twice as many.
double forward_multiply_adds(const ModelConfig& model);

// Of all batches of a training step, forward and backward. Error invalid_argument where 64 bits do not hold them.
std::int64_t multiply_adds_per_step(const Config& config);

}  // namespace longstride
