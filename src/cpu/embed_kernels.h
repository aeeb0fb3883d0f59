// The convolution of token embeddings, one row and a strip of its columns at a time. One table an instruction set.
#pragma once

#include <cstdint>

namespace longstride::cpu {

struct EmbedTaps {
  const std::int32_t* tokens = nullptr;  // tap k, from 1 on, is of tokens[-k]; < 0: none
  std::int64_t taps = 0;
  const float* kernel = nullptr;  // row k - 1: of tap k. From the strip's first column on, as all that follows
  const float* token = nullptr;   // row v: of token v
  std::int64_t stride = 0;        // of both, and of their gradients
  std::int64_t columns = 0;
};

struct EmbedKernels {
  // out += sum_k kernel[k - 1] * token[tokens[-k]]
  void (*add_taps)(const EmbedTaps& at, float* out);
  // dkernel[k - 1] += dout * token[tokens[-k]];  dtoken[tokens[-k]] += dout * kernel[k - 1]
  void (*add_taps_backward)(const EmbedTaps& at, const float* dout, float* dkernel, float* dtoken);
};

const EmbedKernels& embed_kernels();

}  // namespace longstride::cpu
