// Reachability over stacked attention layers, two ways: forward for every query, backward for one.
#pragma once

#include <cstdint>
#include <vector>

#include "pattern/parts.h"

namespace longstride {

// One block: the distinct patterns of its heads.
using Layer = std::vector<Parts>;

// The layers of one cycle, heads resolved.
std::vector<Layer> layers_of(const AttentionLayout& layout, std::int64_t heads, std::int64_t n);

// Every query. Memory n^2 bits, work (pairs x n / 64) a step.
Reach reach_forward(const std::vector<Layer>& cycle, std::int64_t n);

// The given queries alone (ascending). Memory O(n x layers).
Reach reach_backward(const std::vector<Layer>& cycle, std::int64_t n, const std::vector<std::int64_t>& queries);

}  // namespace longstride
