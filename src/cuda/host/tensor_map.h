// What a TensorMap (cuda/hopper/tensor_map.h) holds in the twin of a card: plain numbers.
#pragma once

#include <cstdint>

#include "cuda/hopper/tensor_map.h"

namespace longstride::cuda::host {

struct MappedTensor {
  const char* data;
  std::uint64_t extents[4];
  std::uint64_t strides_bytes[3];  // of dimensions 1 to 3
  int box[4];
};

MappedTensor mapped(const TensorMap& map);

}  // namespace longstride::cuda::host
