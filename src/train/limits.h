// Sizes that a training run chooses for itself, in one place, because the plan must know them too.
#pragma once

#include <algorithm>
#include <cstdint>

#include "longstride/config.h"
#include "model/decoder.h"

namespace longstride {

// A sample made while training: long enough to look at, short beside the interval between two.
inline constexpr std::int64_t kSampleTokens = 512;

// Of text alone: bytes of pictures and sound are no files yet that a viewer opens.
inline bool samples(const Config& config) {
  return config.training.sample_minutes > 0 && config.data.kind != "image" && config.data.kind != "sound";
}
inline DecoderShape decoder_shape(const ModelConfig& model, DType type) {
  return {1, std::min(model.context, kSampleTokens), type};
}

// Memory of the program beside its buffers: code, libraries, the kernels that oneDNN writes. Measured: the resident
// size of runs whose buffers are small, Linux x86-64.
inline constexpr std::int64_t kProgramBytes = 32 << 20;

}  // namespace longstride
