// This says in which order the dimensions of heads lie, and which heads can be mapped; `encode` is the driver's
// (cuda/hopper/encode.cpp) or the twin's (cuda/host/tensor_map.cpp).
#include "cuda/hopper/tensor_map.h"

#include <algorithm>
#include <array>
#include <utility>

namespace longstride::cuda {

namespace {

constexpr std::int64_t kAlignment = 16;                           // bytes, of addresses and strides
constexpr std::int64_t kMostStrideBytes = std::int64_t{1} << 40;  // not included

struct Dimension {
  std::int64_t extent, stride_bytes;
  std::uint8_t TensorOrder::*which;
};

}  // namespace

bool can_map(const Heads& x) {
  if (x.type != DType::bfloat16 || x.D * size_of(x.type) % kAlignment != 0 || x.B * x.T * x.H * x.D == 0) return false;
  if (reinterpret_cast<std::uintptr_t>(x.data) % kAlignment != 0) return false;
  const auto fits = [](std::int64_t extent, std::int64_t stride) {
    const std::int64_t bytes = stride * size_of(DType::bfloat16);
    return extent == 1 || (bytes > 0 && bytes % kAlignment == 0 && bytes < kMostStrideBytes);
  };
  return fits(x.T, x.row_stride) && fits(x.H, x.head_stride) && fits(x.B, x.batch_stride);
}

// A dimension of one has no stride that matters: it comes last, with that of what lies before.
TensorShape shape_of(const Heads& x, TensorOrder& order) {
  const std::int64_t size = size_of(x.type);
  std::array<Dimension, 3> dimensions = {{{x.T, x.row_stride * size, &TensorOrder::position},
                                          {x.H, x.head_stride * size, &TensorOrder::head},
                                          {x.B, x.batch_stride * size, &TensorOrder::sequence}}};
  std::stable_sort(dimensions.begin(), dimensions.end(), [](const Dimension& a, const Dimension& b) {
    return std::pair(a.extent == 1, a.extent == 1 ? 0 : a.stride_bytes) <
           std::pair(b.extent == 1, b.extent == 1 ? 0 : b.stride_bytes);
  });
  TensorShape shape = {};
  shape.extents[0] = static_cast<std::uint64_t>(x.D);
  std::int64_t before = x.D * size;
  for (std::size_t at = 0; at < dimensions.size(); ++at) {
    const Dimension& dimension = dimensions[at];
    if (dimension.extent != 1) before = dimension.stride_bytes;
    shape.extents[at + 1] = static_cast<std::uint64_t>(dimension.extent);
    shape.strides_bytes[at] = static_cast<std::uint64_t>(before);
    order.*dimension.which = static_cast<std::uint8_t>(at + 1);
  }
  return shape;
}

HeadsMap map_of(const Heads& x) {
  HeadsMap map;
  const TensorShape shape = shape_of(x, map.order);
  map.one = encode(x, shape, map.order, 1);
  map.neighbours = encode(x, shape, map.order, kNeighbours);
  map.positions = static_cast<int>(x.T);
  return map;
}

}  // namespace longstride::cuda
