// Values of all parameters in a backend's memory, laid out as the table says, as operands.
#pragma once

#include <cstdint>
#include <map>

#include "longstride/config.h"
#include "model/parameters.h"
#include "ops/ops.h"

namespace longstride {

// Where tensors lie, by where the table says that they do, where only those that are read in float32 are held.
using FloatPlaces = std::map<std::int64_t, std::int64_t>;

// Without addresses (f32 is null) what is made of them can be compiled and counted, not bound.
struct Weights {
  const ParameterTable* table = nullptr;
  float* f32 = nullptr;
  std::uint16_t* bf16 = nullptr;  // the same rounded; needed where activations are bfloat16
  const FloatPlaces* places = nullptr;  // of what f32 holds; none: all, where the table says

  Matrix matrix(std::int64_t offset, std::int64_t rows, std::int64_t cols, DType type) const {
    const bool rounded = type == DType::bfloat16;
    void* data = nullptr;
    if (rounded && bf16 != nullptr) data = bf16 + offset;
    if (!rounded) data = floats(offset);
    return longstride::matrix(data, type, rows, cols);
  }
  Array<float> array(std::int64_t offset, std::int64_t count) const {
    return {floats(offset), count};
  }
  // offset: where a tensor begins.
  float* floats(std::int64_t offset) const {
    if (f32 == nullptr) return nullptr;
    return f32 + (places == nullptr ? offset : places->at(offset));
  }
};

// logits = y W_out^T, float32, of rows of the final norm's output.
Linear output_product(const ModelConfig& model, const Weights& weights, const Matrix& y, const Matrix& logits);

// The embedding of a model and its gradient: rows, tokens and `out` or `dout` are left to the caller.
Embed embedding_of(const ModelConfig& model, const Weights& weights);
EmbedBackward embedding_backward_of(const ModelConfig& model, const Weights& weights, const Weights& gradients);

}  // namespace longstride
