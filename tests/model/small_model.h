// A model that is small enough for its loss to be computed many times over.
#pragma once

#include <cstdint>
#include <string>

#include "longstride/config.h"

namespace longstride {

inline ModelConfig small_model(const std::string& attention, std::int64_t layers) {
  ModelConfig model;
  model.vocabulary = 19;
  model.context = 45;
  model.layers = layers;
  model.width = 24;
  model.heads = 3;
  model.feedforward = 2;
  model.query_key = 0.5;
  model.positions = {6, 8};
  model.attention = read_attention(attention);
  return model;
}

}  // namespace longstride
