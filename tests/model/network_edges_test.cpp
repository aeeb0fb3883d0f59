// These tests train models of the smallest and oddest shapes there are: gradients, and sequences alone or together.
#include <gtest/gtest.h>

#include <cmath>

#include "longstride/error.h"
#include "model/network.h"
#include "model/random_weights.h"

namespace longstride {
namespace {

struct Edge {
  std::int64_t context, width, heads, layers;
  std::vector<std::int64_t> positions;
  const char* attention;
};

const Edge kEdges[] = {
    {1, 1, 1, 1, {1}, "dense"},                // one token of one channel
    {1, 16, 4, 2, {1}, "strided(1)"},          // one token
    {2, 3, 3, 2, {2}, "dense"},                // heads of one channel
    {70, 13, 13, 1, {7, 10}, "fixed(8,3)"},    // many of them
    {65, 17, 1, 2, {65}, "strided(8)"},        // one head, of a width that no vector divides
    {40, 11, 1, 2, {5, 8}, "summary(8,1)"},    // queries that read nothing
    {33, 31, 31, 1, {33}, "previous_row(30)"}  // and that is nearly all of them
};

class NetworkEdge : public testing::TestWithParam<Edge> {
 protected:
  NetworkEdge() {
    const Edge& edge = GetParam();
    model_.vocabulary = 7;
    model_.context = edge.context, model_.width = edge.width, model_.heads = edge.heads, model_.layers = edge.layers;
    model_.feedforward = 1;
    model_.positions = edge.positions;
    model_.attention = read_attention(edge.attention);
    table_ = std::make_unique<ParameterTable>(model_);
    store_ = random_weights(*table_, 5, 11, 0.3f);
    weights_ = Buffer(*backend_, table_->store_elements() * 4);
    gradients_ = Buffer(*backend_, table_->store_elements() * 4);
    for (std::int64_t i = 0; i < kBatch * model_.context; ++i)
      tokens_.push_back(static_cast<std::int32_t>(i * i * 5 % 7));
  }

  Network network(std::int64_t batch, bool training) {
    const Weights gradients{table_.get(), gradients_.f32(), nullptr};
    return Network(*backend_, model_, {batch, model_.context, DType::float32, training},
                   Weights{table_.get(), weights_.f32(), nullptr},
                   training ? TrainingOutputs{gradients, {}} : TrainingOutputs{});
  }

  // Bits of every token of `batch` sequences from the given one on.
  std::vector<float> bits(Network& network, std::int64_t first, std::int64_t batch) {
    backend_->upload(weights_.data(), store_.data(), weights_.bytes());
    Pass pass;
    pass.batch = batch;
    pass.tokens = tokens_.data() + first * model_.context;
    std::vector<float> found(static_cast<std::size_t>(batch * model_.context));
    network.forward(pass, found.data());
    return found;
  }

  static constexpr std::int64_t kBatch = 3;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
  ModelConfig model_;
  std::unique_ptr<ParameterTable> table_;
  std::vector<float> store_;
  Buffer weights_, gradients_;
  std::vector<std::int32_t> tokens_;
};

TEST_P(NetworkEdge, ScoresASequenceAloneAsAmongOthers) {
  Network together = network(kBatch, false), alone = network(1, false);
  const std::vector<float> all = bits(together, 0, kBatch);
  for (std::int64_t b = 0; b < kBatch; ++b) {
    const std::vector<float> one = bits(alone, b, 1);
    for (std::size_t t = 0; t < one.size(); ++t) {
      ASSERT_TRUE(std::isfinite(one[t]));
      EXPECT_NEAR(one[t], all[static_cast<std::size_t>(b * model_.context) + t], 1e-5 * std::abs(one[t]) + 1e-5);
    }
  }
}

// Along its own direction the gradient is the slope of the loss.
TEST_P(NetworkEdge, HasTheGradientOfItsLoss) {
  Network training = network(kBatch, true);
  backend_->upload(weights_.data(), store_.data(), weights_.bytes());
  backend_->zero(gradients_.data(), gradients_.bytes());
  Pass pass;
  pass.batch = kBatch;
  pass.tokens = tokens_.data();
  pass.gradient = 1;
  training.forward_backward(pass);
  std::vector<float> gradient(store_.size());
  backend_->wait();
  backend_->download(gradient.data(), gradients_.data(), gradients_.bytes());
  double squares = 0;
  for (const float g : gradient) squares += double{g} * g;
  const double norm = std::sqrt(squares), step = 1e-3;
  ASSERT_TRUE(std::isfinite(norm));
  ASSERT_GT(norm, 0);
  const std::vector<float> start = store_;
  const auto loss = [&](double along) {
    for (std::size_t e = 0; e < start.size(); ++e)
      store_[e] = static_cast<float>(start[e] + along * gradient[e] / norm);
    double nats = 0;
    for (const float b : bits(training, 0, kBatch)) nats += b * std::log(2.0);
    return nats;
  };
  EXPECT_NEAR((loss(step) - loss(-step)) / (2 * step), norm, 0.01 * norm);
}

INSTANTIATE_TEST_SUITE_P(Every, NetworkEdge, testing::ValuesIn(kEdges));

}  // namespace
}  // namespace longstride
