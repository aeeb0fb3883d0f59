// The simplest honest mark beside a model's bits: what the bytes cost when only their own frequencies are known.
#pragma once

#include "data/dataset.h"

namespace longstride {

// Order-0 entropy of the bytes of a range, bits a byte: -sum p log2 p over the range's own frequencies (not counting
// what it takes to tell them). 0 for an empty range.
double order0_bits(const Dataset& data, ByteRange range);

}  // namespace longstride
