// This test shows what a network's memory grows with.
#include <gtest/gtest.h>

#include "model/network.h"

namespace longstride {
namespace {

TEST(NetworkMemory, NeedsLessWithRecomputationAndGrowsWithDepthByBlockInputsAlone) {
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  ModelConfig model;
  model.context = 256;
  model.width = 32;
  model.heads = 2;
  model.positions = {16, 16};
  model.attention = read_attention("strided(16)");
  const auto bytes = [&](std::int64_t layers, bool recompute) {
    model.layers = layers;
    return Network::bytes(*backend, model, {2, 256, DType::bfloat16, true, recompute}).activations;
  };
  EXPECT_LT(bytes(8, true), bytes(8, false));
  EXPECT_EQ(bytes(9, true) - bytes(8, true), 2 * 256 * 32 * 4);
}

}  // namespace
}  // namespace longstride
