// Counts of pairs from closed forms, on the forms of a pattern at a given length.
#pragma once

#include <cstdint>

#include "pattern/parts.h"

namespace longstride {

// Keys of S_i in [begin, end). 0 <= i < parts.n. O(1) unless summaries of different lengths meet.
std::int64_t count_keys_in(const Parts& parts, std::int64_t i, std::int64_t begin, std::int64_t end);

// Queries i in [j, parts.n) that read key j. O(1).
std::int64_t count_queries(const Parts& parts, std::int64_t j);

// Sum over t in [0, count) of floor((offset + t * step) / divisor). All >= 0, divisor > 0.
std::int64_t floor_sum(std::int64_t count, std::int64_t divisor, std::int64_t step, std::int64_t offset);

}  // namespace longstride
