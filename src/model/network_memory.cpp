#include "model/network_memory.h"

namespace longstride {

namespace {

// Stages of a step, in order. A block's backward pass repeats kRecompute to kAttentionNorm for every block.
enum Stage {
  kForward,
  kLoss,
  kRecompute,
  kContract,
  kExpand,
  kFeedforwardNorm,
  kProjection,
  kAttention,
  kQkv,
  kAttentionNorm,
  kEnd
};

}  // namespace

NetworkMemory::NetworkMemory(const ModelConfig& model, const NetworkShape& shape) : model_(model), shape_(shape) {
  tokens = add("tokens", 1, 4, kForward, kEnd);
  hash_rows = add("tokens", static_cast<std::int64_t>(model.hash_orders.size()), 4, kForward, kEnd);
  targets = add("targets", 1, 4, kForward, kEnd);
  losses = add("losses", 1, 4, kForward, kEnd);
  if (shape.training) {
    plan_training();
    plan_gradients();
  } else {
    plan_evaluation();
  }
  plan_.lay_out();
}

std::size_t NetworkMemory::add(const char* name, std::int64_t cols, std::int64_t element_bytes, int first, int last) {
  return plan_.add(name, shape_.batch * shape_.tokens * cols * element_bytes, first, last);
}

NetworkMemory::Layer NetworkMemory::plan_layer(const char* which, std::size_t h, bool kept) {
  const std::int64_t C = model_.width, F = model_.hidden_width(), A = size_of(shape_.type);
  const auto until = [&](int last) { return kept ? static_cast<int>(kEnd) : last; };
  Layer layer{};
  layer.h = h;
  layer.mean1 = add(which, 1, 4, kForward, until(kAttentionNorm));
  layer.rstd1 = add(which, 1, 4, kForward, until(kAttentionNorm));
  layer.y1 = add(which, C, A, kForward, until(kQkv));
  layer.qkv = add(which, 2 * model_.query_width() + C, A, kForward, until(kAttention));
  layer.attended = add(which, C, A, kForward, until(kAttention));
  layer.lse = add(which, model_.heads, 4, kForward, until(kAttention));
  layer.h_mid = shape_.training ? add(which, C, 4, kForward, until(kFeedforwardNorm)) : h;
  layer.mean2 = add(which, 1, 4, kForward, until(kFeedforwardNorm));
  layer.rstd2 = add(which, 1, 4, kForward, until(kFeedforwardNorm));
  layer.y2 = add(which, C, A, kForward, until(kExpand));
  layer.pre = shape_.training ? add(which, F, A, kForward, until(kContract)) : 0;
  layer.hidden = add(which, F, A, kForward, until(kContract));
  return layer;
}

void NetworkMemory::plan_evaluation() {
  const std::int64_t C = model_.width, A = size_of(shape_.type);
  final_h = add("residual stream", C, 4, kForward, kEnd);  // every layer works on it in place
  const Layer layer = plan_layer("block", final_h, true);
  layers_.assign(static_cast<std::size_t>(model_.layers), layer);
  branch = add("branch", C, A, kForward, kEnd);
  final_y = layer.y1;
  final_mean = layer.mean1;
  final_rstd = layer.rstd1;
}

void NetworkMemory::plan_training() {
  const std::int64_t C = model_.width, A = size_of(shape_.type);
  for (std::int64_t block = 0; block < model_.layers; ++block) {
    const std::size_t h = add("block input", C, 4, kForward, kEnd);
    if (block == 0 || !shape_.recompute) {
      layers_.push_back(plan_layer("block", h, !shape_.recompute));
    } else {
      layers_.push_back(layers_.front());
      layers_.back().h = h;
    }
  }
  branch = add("branch", C, A, kForward, kRecompute);
  final_h = add("final input", C, 4, kForward, kLoss);
  final_mean = add("final", 1, 4, kForward, kLoss);
  final_rstd = add("final", 1, 4, kForward, kLoss);
  final_y = add("final", C, A, kForward, kLoss);
}

void NetworkMemory::plan_gradients() {
  const std::int64_t C = model_.width, F = model_.hidden_width(), A = size_of(shape_.type);
  dh = add("gradient of the residual stream", C, 4, kLoss, kEnd);
  dbranch = add("gradients", C, A, kLoss, kEnd);  // from one block's attention norm to the next one's contract
  dfinal = add("gradients", C, A, kLoss, kLoss);
  dhidden = add("gradients", F, A, kContract, kExpand);
  dy2 = add("gradients", C, A, kExpand, kFeedforwardNorm);
  dprojection = add("gradients", C, A, kFeedforwardNorm, kProjection);
  dattended = add("gradients", C, A, kProjection, kAttention);
  dqkv = add("gradients", 2 * model_.query_width() + C, A, kAttention, kQkv);
  dy1 = add("gradients", C, A, kQkv, kAttentionNorm);
}

}  // namespace longstride
