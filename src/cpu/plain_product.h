// Products that are our own, in plain loops: of vectors whose elements are not neighbours. oneDNN 3.7 takes them for
// such (matmul into one column of a wider matrix, and by one row that is a column of one).
#pragma once

#include "cpu/product.h"

namespace longstride::cpu {

bool is_plain(const ProductShape& shape);

// The product of `shape`, b as it is or, where the shape says so, packed. Sums are in double precision, in order.
void multiply_plainly(const ProductShape& shape, const void* a, const void* b, void* c, const float* bias);

// Brings b's elements together: (k, n), one row after the other.
void pack_plainly(const ProductShape& shape, const void* b, void* packed);

}  // namespace longstride::cpu
