// The twin's maps of tensors. What the driver would not take is an error here.
#include "cuda/host/tensor_map.h"

#include <cstring>
#include <stdexcept>

namespace longstride::cuda {

namespace host {

static_assert(sizeof(MappedTensor) <= sizeof(TensorMap));

MappedTensor mapped(const TensorMap& map) {
  MappedTensor tensor;
  std::memcpy(&tensor, map.words, sizeof(tensor));
  return tensor;
}

}  // namespace host

TensorMap encode(const Heads& x, const TensorShape& shape, const TensorOrder& order, int rows) {
  host::MappedTensor tensor = {static_cast<const char*>(x.data), {}, {}, {kBoxChannels, 1, 1, 1}};
  for (int d = 0; d < 4; ++d) {
    tensor.extents[d] = shape.extents[d];
    if (shape.extents[d] == 0) throw std::logic_error("a map of a tensor of nothing");
  }
  std::uint64_t before = shape.extents[0] * 2;
  for (int d = 0; d < 3; ++d) {
    tensor.strides_bytes[d] = shape.strides_bytes[d];
    if (shape.strides_bytes[d] % 16 != 0 || shape.strides_bytes[d] < before)
      throw std::logic_error("a map's strides are multiples of 16 bytes and rise");
    before = shape.strides_bytes[d];
  }
  tensor.box[order.position] = rows;
  TensorMap map;
  std::memcpy(map.words, &tensor, sizeof(tensor));
  return map;
}

}  // namespace longstride::cuda
