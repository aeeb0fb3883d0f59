// The backward pass, block by block from the last to the first, and the workspace that both passes need.
#include <algorithm>

#include "longstride/error.h"
#include "model/network.h"

namespace longstride {

ResidualNormBackward Network::norm_backward(const ResidualNorm& forward, Matrix dy, float* gradients,
                                            std::int64_t weight, std::int64_t bias) const {
  ResidualNormBackward op;
  op.dy = dy;
  op.h = forward.h_out;
  op.mean = forward.mean;
  op.rstd = forward.rstd;
  op.weight = forward.weight;
  op.dh_out = residual(memory_.dh);
  op.dh = residual(memory_.dh);
  op.dropout = forward.dropout;
  op.dweight = gradients == nullptr ? nullptr : gradients + weight;
  op.dbias = gradients == nullptr ? nullptr : gradients + bias;
  return op;
}

AttentionBackward Network::attention_backward_of(std::int64_t block) const {
  const std::int64_t Cq = model_.query_width();
  const Matrix dqkv = activation(memory_.dqkv, qkv_cols());
  AttentionBackward op;
  op.forward = attention_of(block);
  op.dout = activation(memory_.dattended, model_.width);
  op.dq = dqkv.columns(0, Cq);
  op.dk = dqkv.columns(Cq, Cq);
  op.dv = dqkv.columns(2 * Cq, model_.width);
  return op;
}

// dx = dy W (* f'(pre)), dW += dy^T x, dbias += column sums of dy.
void Network::product_backward(const Linear& forward, Matrix dy, Matrix dx, Matrix pre, float* dw, float* dbias) {
  linear_backward_data(backend_, {dy, forward.w, pre, dx});
  linear_backward_weights(backend_, {dy, forward.x, matrix(dw, DType::float32, forward.w.rows, forward.w.cols), dbias});
}

void Network::block_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block) {
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  const std::int64_t C = model_.width, F = model_.hidden_width();
  ResidualNorm first = attention_norm(w, pass, block);
  if (shape().recompute && block + 1 < model_.layers) {  // the last block's activations are still there
    ResidualNorm again = first;
    again.h_in = again.h_out;  // its input was kept with the branch added
    again.branch = {};
    again.h_out = {};
    residual_norm(backend_, again);
    block_body(w, pass, block, false);
  }
  const Matrix dhidden = activation(memory_.dhidden, F);
  product_backward(contract_product(w, block), activation(memory_.dbranch, C), dhidden,
                   activation(memory_.layer(block).pre, F), gradients + at.contract_weight,
                   gradients + at.contract_bias);
  const Matrix dy2 = activation(memory_.dy2, C);
  product_backward(expand_product(w, block), dhidden, dy2, {}, gradients + at.expand_weight,
                   gradients + at.expand_bias);
  ResidualNormBackward second = norm_backward(feedforward_norm(w, pass, block), dy2, gradients,
                                              at.feedforward_norm_weight, at.feedforward_norm_bias);
  second.dbranch = activation(memory_.dprojection, C);
  residual_norm_backward(backend_, second);
  const Matrix dattended = activation(memory_.dattended, C);
  product_backward(projection_product(w, block), second.dbranch, dattended, {}, gradients + at.projection_weight,
                   gradients + at.projection_bias);
  attention_backward(backend_, attention_backward_of(block));
  const Matrix dy1 = activation(memory_.dy1, C);
  product_backward(qkv_product(w, block), activation(memory_.dqkv, qkv_cols()), dy1, {}, gradients + at.qkv_weight,
                   gradients + at.qkv_bias);
  ResidualNormBackward op = norm_backward(first, dy1, gradients, at.attention_norm_weight, at.attention_norm_bias);
  if (block > 0) op.dbranch = activation(memory_.dbranch, C);
  residual_norm_backward(backend_, op);
}

void Network::forward_backward(const Weights& weights, float* gradients, const Pass& pass, float* bits) {
  if (!shape().training) throw Error(ErrorKind::invalid_argument, "network: made without gradients, cannot train");
  run_forward(weights, pass);
  VocabularyLoss loss = loss_of(weights);
  loss.gradient = pass.gradient;
  loss.dx = activation(memory_.dfinal, model_.width);
  loss.dw = matrix(gradients + table_.output_weight, DType::float32, model_.vocabulary, model_.width);
  vocabulary_loss(backend_, loss);
  ResidualNormBackward last =
      norm_backward(final_norm(weights, pass), loss.dx, gradients, table_.final_norm_weight, table_.final_norm_bias);
  last.dh_out = {};
  last.dbranch = activation(memory_.dbranch, model_.width);
  residual_norm_backward(backend_, last);
  for (std::int64_t block = model_.layers - 1; block >= 0; --block) block_backward(weights, gradients, pass, block);
  EmbedBackward op;
  op.forward = embedding_of(model_, weights);
  op.forward.B = batch_;
  op.forward.T = shape().tokens;
  op.forward.tokens = indices(memory_.tokens);
  op.forward.hash_rows = indices(memory_.hash_rows);
  op.dout = residual(memory_.dh);
  op.dstart = gradients + table_.start;
  op.dtoken = gradients + table_.token_embedding;
  for (int j = 0; j < op.forward.positions; ++j)
    op.dposition[j] = gradients + table_.position_embeddings[static_cast<std::size_t>(j)];
  for (int g = 0; g < op.forward.hashes; ++g)
    op.dhash[g] = gradients + table_.hash_embeddings[static_cast<std::size_t>(g)];
  embed_backward(backend_, op);
  store_bits(pass, bits);
}

std::int64_t Network::workspace_bytes() const {
  std::int64_t most = 0;
  const auto take = [&](const auto& op) { most = std::max(most, backend_.workspace_bytes(op)); };
  Weights none;
  none.table = &table_;
  const std::int64_t C = model_.width;
  const auto product = [&](const Linear& op) {
    take(op);
    if (!shape().training) return;
    take(LinearBackwardData{op.y, op.w, {}, op.x});
    take(LinearBackwardWeights{op.y, op.x, matrix(nullptr, DType::float32, op.w.rows, op.w.cols), nullptr});
  };
  product(qkv_product(none, 0));
  product(projection_product(none, 0));
  product(expand_product(none, 0));
  product(contract_product(none, 0));
  const auto cycle = static_cast<std::int64_t>(head_tilings_.size());
  for (std::int64_t block = 0; block < cycle; ++block) {
    take(attention_of(block));
    if (shape().training) take(attention_backward_of(block));
  }
  VocabularyLoss loss = loss_of(none);
  if (shape().training) {
    loss.dx = activation(memory_.dfinal, C);
    loss.dw = matrix(nullptr, DType::float32, model_.vocabulary, C);
    take(norm_backward(feedforward_norm(none, {}, 0), activation(memory_.dy2, C), nullptr, 0, 0));
  }
  take(loss);
  return most;
}

}  // namespace longstride
