// This compiles embed_kernels.inl once an instruction set and chooses a table.
#include "cpu/embed_kernels.h"

#define LONGSTRIDE_KERNELS "cpu/embed_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

const EmbedKernels& embed_kernels() { return LONGSTRIDE_CHOOSE(kEmbedKernels); }

}  // namespace longstride::cpu
