// How many blocks a kernel is launched in, and which of them one is.
#pragma once

#include <cstdint>

namespace longstride::cuda {

// y and z: at most 65,535. x: what is large.
struct Grid {
  std::int64_t x = 1, y = 1, z = 1;
};
struct Index {
  int x = 0, y = 0, z = 0;
};

// Threads of a warp, on every card.
inline constexpr int kWarp = 32;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace longstride::cuda
