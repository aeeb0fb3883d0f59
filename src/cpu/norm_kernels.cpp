// This compiles norm_kernels.inl once an instruction set and chooses a table.
#include "cpu/norm_kernels.h"

#define LONGSTRIDE_KERNELS "cpu/norm_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

const NormKernels& norm_kernels() { return LONGSTRIDE_CHOOSE(kNormKernels); }

}  // namespace longstride::cpu
