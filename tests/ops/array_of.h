// This makes operands of what tests hold in vectors.
#pragma once

#include <vector>

#include "ops/tensor.h"

namespace longstride::tests {

// Operations read some operands only: a constant vector is one of those.
template <class T>
Array<T> of(const std::vector<T>& values) {
  return array(const_cast<T*>(values.data()), static_cast<std::int64_t>(values.size()));
}

}  // namespace longstride::tests
