// This gathers the kernels of class_lanes into one table; it is compiled once an instruction set.
#include "cpu/attention_mask.inl"
#include "cpu/attention_pack.inl"
#include "cpu/attention_product.inl"
#include "cpu/class_lanes.inl"
#include "cpu/class_lanes_backward.inl"
#include "cpu/class_lanes_forward.inl"

const LaneKernels kLaneKernels[2] = {{kLanes, forward_lanes<float>, backward_lanes<float>},
                                     {kLanes, forward_lanes<std::uint16_t>, backward_lanes<std::uint16_t>}};
