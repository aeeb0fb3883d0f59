// Loops of multiply-adds on registers, to measure what a core gives without memory. One table an instruction set.
#pragma once

#include <cstdint>

namespace longstride::cpu {

struct PeakKernels {
  float (*fused)(std::int64_t rounds);   // float32
  float (*paired)(std::int64_t rounds);  // pairs of bfloat16; by several instructions where none does it
  int chains;                            // instructions a round
  int lanes;
};
const PeakKernels& peak_kernels();

}  // namespace longstride::cpu
