// This names every buffer of a network with its size and lifetime.
#include "model/network_memory.h"

namespace longstride {

namespace {

// Stages of a step, in order. A block's backward pass repeats kRecompute to kQkv for every block.
enum Stage {
  kForward,
  kLoss,         // and the final norm's backward
  kRecompute,    // up to the block's attention
  kFeedforward,  // backward from the block's output to its attention's
  kAttention,
  kQkv,  // backward to the block's input, and what the block below gets
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
  some_rows_.push_back(false);
  return plan_.add(name, shape_.batch * shape_.tokens * cols * element_bytes, first, last);
}

std::size_t NetworkMemory::add_some_rows(const char* name, std::int64_t cols, std::int64_t element_bytes, int first,
                                         int last) {
  some_rows_.push_back(true);
  return plan_.add(name, rows_at_once() * cols * element_bytes, first, last);
}

NetworkMemory::Layer NetworkMemory::plan_layer(const char* which, std::size_t h, bool kept) {
  const std::int64_t C = model_.width, F = model_.hidden_width(), A = size_of(shape_.type);
  const auto all_rows = [&](std::int64_t cols, std::int64_t element_bytes, int last) {
    return add(which, cols, element_bytes, kForward, kept ? static_cast<int>(kEnd) : last);
  };
  const auto between_attentions = [&](std::int64_t cols) {
    return kept ? add(which, cols, A, kForward, kEnd) : add_some_rows(which, cols, A, kForward, kEnd);
  };
  Layer layer{};
  layer.h = h;
  layer.mean1 = all_rows(1, 4, kQkv);
  layer.rstd1 = all_rows(1, 4, kQkv);
  layer.y1 = between_attentions(C);
  layer.qkv = all_rows(2 * model_.query_width() + C, A, kAttention);
  layer.attended = all_rows(C, A, kAttention);
  layer.lse = all_rows(model_.heads, 4, kAttention);
  layer.h_mid = shape_.training ? all_rows(C, 4, kFeedforward) : h;
  layer.mean2 = all_rows(1, 4, kFeedforward);
  layer.rstd2 = all_rows(1, 4, kFeedforward);
  layer.y2 = between_attentions(C);
  layer.pre = shape_.training ? between_attentions(F) : 0;
  layer.hidden = between_attentions(F);
  return layer;
}

void NetworkMemory::plan_evaluation() {
  const std::int64_t C = model_.width, A = size_of(shape_.type);
  final_h = add("residual stream", C, 4, kForward, kEnd);  // every layer works on it in place
  const Layer layer = plan_layer("block", final_h, false);
  layers_.assign(static_cast<std::size_t>(model_.layers), layer);
  branch = add_some_rows("branch", C, A, kForward, kForward);
  final_y = add("final", C, A, kForward, kLoss);
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
  branch = add_some_rows("branch", C, A, kForward, kFeedforward);
  final_h = add("final input", C, 4, kForward, kEnd);
  final_mean = add("final", 1, 4, kForward, kLoss);
  final_rstd = add("final", 1, 4, kForward, kLoss);
  final_y = add("final", C, A, kForward, kLoss);
}

void NetworkMemory::plan_gradients() {
  const std::int64_t C = model_.width, F = model_.hidden_width(), A = size_of(shape_.type);
  dh = final_h;  // each row of the final norm's input becomes its gradient
  dbranch = add("gradients", C, A, kLoss, kEnd);
  dattended = dbranch;
  dhidden = add_some_rows("gradients", F, A, kFeedforward, kFeedforward);
  dy2 = add_some_rows("gradients", C, A, kFeedforward, kFeedforward);
  dprojection = add_some_rows("gradients", C, A, kFeedforward, kFeedforward);
  dqkv = add("gradients", 2 * model_.query_width() + C, A, kAttention, kQkv);
  dy1 = add_some_rows("gradients", C, A, kQkv, kQkv);
}

}  // namespace longstride
