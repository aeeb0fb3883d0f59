// This cuts residue classes into groups of lanes and runs each group on a thread; the kernels are class_lanes_*.inl.
#include "cpu/class_lanes.h"

#include <cfloat>

#define LONGSTRIDE_KERNELS "cpu/class_lanes_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

const LaneKernels& lane_kernels(bool bf16) { return LONGSTRIDE_CHOOSE(kLaneKernels)[bf16]; }

}  // namespace longstride
