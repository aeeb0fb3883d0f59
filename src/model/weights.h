// Values of all parameters in a backend's memory, laid out as the table says, as operands.
#pragma once

#include <cstdint>

#include "longstride/config.h"
#include "model/parameters.h"
#include "ops/ops.h"

namespace longstride {

// Without addresses (f32 is null) what is made of them can be compiled and counted, not bound.
struct Weights {
  const ParameterTable* table = nullptr;
  float* f32 = nullptr;
  std::uint16_t* bf16 = nullptr;  // the same rounded; needed where activations are bfloat16

  Matrix matrix(std::int64_t offset, std::int64_t rows, std::int64_t cols, DType type) const {
    const bool rounded = type == DType::bfloat16;
    void* data = nullptr;
    if (rounded && bf16 != nullptr) data = bf16 + offset;
    if (!rounded && f32 != nullptr) data = f32 + offset;
    return longstride::matrix(data, type, rows, cols);
  }
  Array<float> array(std::int64_t offset, std::int64_t count) const {
    return {f32 == nullptr ? nullptr : f32 + offset, count};
  }
};

// logits = y W_out^T, float32, of rows of the final norm's output.
Linear output_product(const ModelConfig& model, const Weights& weights, const Matrix& y, const Matrix& logits);

// The embedding of a model and its gradient: rows, tokens and `out` or `dout` are left to the caller.
Embed embedding_of(const ModelConfig& model, const Weights& weights);
EmbedBackward embedding_backward_of(const ModelConfig& model, const Weights& weights, const Weights& gradients);

}  // namespace longstride
