// This makes the table of an instruction set from the kernels that work on classes of positions side by side.
using namespace longstride::cpu;

#include "cpu/attention_mask.inl"
#include "cpu/attention_pack.inl"
#include "cpu/attention_product.inl"
#include "cpu/class_lanes.inl"
#include "cpu/class_lanes_backward.inl"
#include "cpu/class_lanes_forward.inl"

template <class E>
constexpr LaneKernels lane_kernels_of() {
  return {kLanes,
          kBlockRows,
          forward_lane_keys<E>,
          forward_lane_queries<E>,
          backward_lane_keys<E>,
          backward_lane_queries<E>,
          backward_lane_key_sums<E>};
}
const LaneKernels kLaneKernels[2] = {lane_kernels_of<float>(), lane_kernels_of<std::uint16_t>()};
