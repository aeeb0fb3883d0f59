// This compiles optimizer_kernels.inl once an instruction set and chooses a table.
#include "cpu/optimizer_kernels.h"

#define LONGSTRIDE_KERNELS "cpu/optimizer_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

const OptimizerKernels& optimizer_kernels() { return LONGSTRIDE_CHOOSE(kOptimizerKernels); }

}  // namespace longstride::cpu
