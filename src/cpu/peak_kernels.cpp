// This compiles peak_kernels.inl once an instruction set and chooses a table.
#include "cpu/peak_kernels.h"

#define LONGSTRIDE_KERNELS "cpu/peak_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

const PeakKernels& peak_kernels() { return LONGSTRIDE_CHOOSE(kPeakKernels); }

}  // namespace longstride::cpu
