// This compiles linear_kernels.inl once an instruction set and chooses a table.
#include "cpu/linear_kernels.h"

#define LONGSTRIDE_KERNELS "cpu/linear_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

const LinearKernels& linear_kernels() { return LONGSTRIDE_CHOOSE(kLinearKernels); }

}  // namespace longstride::cpu
