// These tests hold whole networks on a card's twin against the processor: logits, gradients, and decoding.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/host/interpreter.h"
#include "cuda/host/kind_of_card.h"
#include "model/engine_case.h"

namespace longstride {
namespace {

const char* const kMixed = R"j([["fixed(9,2)", "dense", "window(4)"], "strided(7)"])j";

EngineCase on(Device device, const ModelConfig& model, DType type) { return {model, type, make_backend(device)}; }

// The gradient of a batch, with dropout, and the losses in bits.
std::vector<float> gradient(const EngineCase& c, bool recompute) {
  NetworkShape shape{kSequences, c.model.context, c.type, true, recompute};
  shape.dropout = 0.3f, shape.dropout_seed = 9;
  Buffer gradients(*c.backend, c.table.store_elements() * 4);
  c.backend->zero(gradients.data(), gradients.bytes());
  Network network(*c.backend, c.model, shape, c.weights(), {{&c.table, gradients.f32(), nullptr}, {}});
  Pass pass;
  pass.batch = kSequences, pass.tokens = c.tokens.data(), pass.dropout_step = 4, pass.gradient = 0.05f;
  std::vector<float> bits(c.tokens.size()), all(static_cast<std::size_t>(c.table.store_elements()));
  network.forward_backward(pass, bits.data());
  c.backend->wait();
  c.backend->download(all.data(), gradients.data(), gradients.bytes());
  all.insert(all.end(), bits.begin(), bits.end());
  return all;
}

class NetworkOnACard : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(EveryType, NetworkOnACard, testing::Values(DType::float32, DType::bfloat16));

TEST_P(NetworkOnACard, GivesTheLogitsAndGradientsOfTheProcessor) {
  const ModelConfig model = hashed(model_with(kMixed));
  const EngineCase card = on(Device::cuda, model, GetParam()), processor = on(Device::cpu, model, GetParam());
  expect_near(card.whole(), processor.whole(), tolerance_of(GetParam()), "logits");
  expect_near(gradient(card, false), gradient(processor, false), 4 * tolerance_of(GetParam()), "gradients");
}

TEST_P(NetworkOnACard, GivesTheSameGradientsInEveryOrderAndWithRecomputation) {
  const EngineCase card = on(Device::cuda, model_with(kMixed), GetParam());
  const std::vector<float> want = gradient(card, false);
  cuda::host::set_seed(77);
  EXPECT_EQ(gradient(card, false), want);
  EXPECT_EQ(gradient(card, true), want);
}

TEST_P(NetworkOnACard, DecodesTheLogitsOfTheWholeNetwork) {
  const EngineCase card = on(Device::cuda, hashed(model_with(kMixed, 20)), GetParam());
  expect_near(card.decoded(), card.whole(), tolerance_of(GetParam()), "decoded");
}

// Heads of 64 channels and more queries than a warpgroup has: on a card of compute capability 9.0 attention is
// Hopper's, and the twin's is where it is told.
TEST(NetworkOnHopper, GivesTheLogitsAndGradientsOfTheProcessor) {
  ModelConfig model = model_with(R"j([["fixed(16,4)", "strided(2)"]])j", 150);
  model.layers = 1, model.width = 128, model.heads = 2, model.feedforward = 1;
  const EngineCase processor = on(Device::cpu, model, DType::bfloat16);
#ifndef LONGSTRIDE_CARD_TEST
  cuda::host::attention_kernels() = cuda::AttentionKernels::hopper;
  const std::int64_t before = cuda::host::blocks_with_async_unit();
#endif
  {
    const EngineCase card = on(Device::cuda, model, DType::bfloat16);
    expect_near(card.whole(), processor.whole(), tolerance_of(DType::bfloat16), "logits");
    const std::vector<float> want = gradient(card, false);
    expect_near(want, gradient(processor, false), 4 * tolerance_of(DType::bfloat16), "gradients");
    cuda::host::set_seed(77);
    EXPECT_EQ(gradient(card, true), want);
  }
#ifndef LONGSTRIDE_CARD_TEST
  cuda::host::attention_kernels() = cuda::AttentionKernels::portable;
  EXPECT_GT(cuda::host::blocks_with_async_unit(), before);
#endif
}

}  // namespace
}  // namespace longstride
