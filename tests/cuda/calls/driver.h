// A driver without a card: driver.cpp answers for the one function of it that cuda/hopper/encode.cpp asks for, by
// either of the runtime's ways to ask. Tests say whether it is there, and see what it was told.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>

namespace longstride::tests {

struct Driver {
  bool has_function = true;
  CUresult answer = CUDA_SUCCESS;
  std::string asked;  // the call by which the function was asked for last
};
Driver& driver();

// What the function writes into a map here: what it was told.
struct ToldMap {
  const void* data;
  std::uint64_t extents[4], strides_bytes[3];
  std::uint32_t box[4];
};

}  // namespace longstride::tests
