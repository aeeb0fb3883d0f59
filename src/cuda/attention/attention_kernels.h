// Which kernels compute attention.
#pragma once

namespace longstride::cuda {

// Those that every card runs; or Hopper's (cuda/hopper) where it has one for the operands, and the others elsewhere.
enum class AttentionKernels { portable, hopper };

}  // namespace longstride::cuda
