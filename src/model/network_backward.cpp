// The backward pass, block by block from the last to the first, and the workspace that both passes need.
#include <algorithm>
#include <array>

#include "longstride/error.h"
#include "model/network.h"

namespace longstride {

namespace {

// The norm once more in the backward pass: its input was kept with the branch added.
ResidualNorm again(ResidualNorm norm) {
  norm.h_in = norm.h_out;
  norm.branch = {};
  norm.h_out = {};
  return norm;
}

}  // namespace

ResidualNormBackward Network::norm_backward(const ResidualNorm& forward, Matrix dy, float* gradients,
                                            std::int64_t weight, std::int64_t bias, Rows rows) const {
  ResidualNormBackward op;
  op.dy = dy;
  op.h = forward.h_out;
  op.mean = forward.mean;
  op.rstd = forward.rstd;
  op.weight = forward.weight;
  op.dh_out = residual(memory_.dh, rows);
  op.dh = residual(memory_.dh, rows);
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
  const auto [B, T, H] = std::array{op.forward.B, op.forward.T, op.forward.H};
  op.dout = heads(activation(memory_.dattended, model_.width), B, T, H);
  op.dq = heads(dqkv.columns(0, Cq), B, T, H);
  op.dk = heads(dqkv.columns(Cq, Cq), B, T, H);
  op.dv = heads(dqkv.columns(2 * Cq, model_.width), B, T, H);
  return op;
}

// dx = dy W (* f'(pre)), dW += dy^T x, dbias += column sums of dy.
void Network::product_backward(const Linear& forward, Matrix dy, Matrix dx, Matrix pre, float* dw, float* dbias) {
  linear_backward_data(backend_, {dy, forward.w, pre, dx});
  linear_backward_weights(backend_, {dy, forward.x, matrix(dw, DType::float32, forward.w.rows, forward.w.cols), dbias});
}

// From the gradient of the block's output to that of its attention's.
void Network::feedforward_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block,
                                   Rows rows) {
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  const std::int64_t C = model_.width, F = model_.hidden_width();
  const ResidualNorm norm = feedforward_norm(w, pass, block, rows);
  const Linear projection = projection_product(w, block, rows);
  const Linear expand = expand_product(w, block, rows);
  if (shape().recompute) {
    const bool last = block + 1 == model_.layers;  // its residual stream is still there
    if (!last) linear(backend_, projection);
    residual_norm(backend_, last ? again(norm) : norm);
    linear(backend_, expand);
  }
  const Matrix dhidden = activation(memory_.dhidden, F, rows);
  product_backward(contract_product(w, block, rows), activation(memory_.dbranch, C, rows), dhidden, expand.pre,
                   gradients + at.contract_weight, gradients + at.contract_bias);
  const Matrix dy2 = activation(memory_.dy2, C, rows);
  product_backward(expand, dhidden, dy2, {}, gradients + at.expand_weight, gradients + at.expand_bias);
  ResidualNormBackward op =
      norm_backward(norm, dy2, gradients, at.feedforward_norm_weight, at.feedforward_norm_bias, rows);
  op.dbranch = activation(memory_.dprojection, C, rows);
  residual_norm_backward(backend_, op);
  product_backward(projection, op.dbranch, activation(memory_.dattended, C, rows), {}, gradients + at.projection_weight,
                   gradients + at.projection_bias);
}

// From the gradients of queries, keys and values to that of the block's input.
void Network::qkv_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block, Rows rows) {
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  const ResidualNorm norm = attention_norm(w, pass, block, rows);
  if (shape().recompute) residual_norm(backend_, again(norm));
  const Matrix dy1 = activation(memory_.dy1, model_.width, rows);
  product_backward(qkv_product(w, block, rows), activation(memory_.dqkv, qkv_cols(), rows), dy1, {},
                   gradients + at.qkv_weight, gradients + at.qkv_bias);
  ResidualNormBackward op = norm_backward(norm, dy1, gradients, at.attention_norm_weight, at.attention_norm_bias, rows);
  if (block > 0) op.dbranch = activation(memory_.dbranch, model_.width, rows);
  residual_norm_backward(backend_, op);
}

void Network::block_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block) {
  if (shape().recompute && block + 1 < model_.layers) {  // the last block's attention is still there
    by_rows([&](Rows rows) { enter_block(w, again(attention_norm(w, pass, block, rows)), block, rows); });
    attention(backend_, attention_of(block));
  }
  by_rows([&](Rows rows) { feedforward_backward(w, gradients, pass, block, rows); });
  attention_backward(backend_, attention_backward_of(block));
  by_rows([&](Rows rows) { qkv_backward(w, gradients, pass, block, rows); });
}

void Network::loss_backward(const Weights& w, float* gradients, const Pass& pass) {
  VocabularyLoss loss = loss_of(w);
  loss.gradient = pass.gradient;
  loss.dx = activation(memory_.dbranch, model_.width);
  loss.dw = matrix(gradients + table_.output_weight, DType::float32, model_.vocabulary, model_.width);
  vocabulary_loss(backend_, loss);
  const Rows all{0, batch_ * shape().tokens};
  ResidualNormBackward op = norm_backward(final_norm(w, pass, all), loss.dx, gradients, table_.final_norm_weight,
                                          table_.final_norm_bias, all);
  op.dh_out = {};
  op.dbranch = loss.dx;
  residual_norm_backward(backend_, op);
}

void Network::embedding_backward(const Weights& w, float* gradients) {
  EmbedBackward op;
  op.forward = embedding_of(model_, w);
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
  op.dkernel = gradients + table_.token_convolution;
  embed_backward(backend_, op);
}

void Network::forward_backward(const Weights& weights, float* gradients, const Pass& pass, float* bits) {
  if (!shape().training) throw Error(ErrorKind::invalid_argument, "network: made without gradients, cannot train");
  run_forward(weights, pass);
  loss_backward(weights, gradients, pass);
  for (std::int64_t block = model_.layers - 1; block >= 0; --block) block_backward(weights, gradients, pass, block);
  embedding_backward(weights, gradients);
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
  const std::int64_t all = batch_ * shape().tokens, most_rows = memory_.rows_at_once();
  for (const std::int64_t count : {most_rows, all % most_rows}) {
    if (count == 0) continue;
    const Rows rows{0, count};
    product(qkv_product(none, 0, rows));
    product(projection_product(none, 0, rows));
    product(expand_product(none, 0, rows));
    product(contract_product(none, 0, rows));
  }
  const auto cycle = static_cast<std::int64_t>(head_tilings_.size());
  for (std::int64_t block = 0; block < cycle; ++block) {
    take(attention_of(block));
    if (shape().training) take(attention_backward_of(block));
  }
  VocabularyLoss loss = loss_of(none);
  if (shape().training) {
    loss.dx = activation(memory_.dbranch, C);
    loss.dw = matrix(nullptr, DType::float32, model_.vocabulary, C);
    const Rows rows{0, all};
    take(norm_backward(final_norm(none, {}, rows), loss.dx, nullptr, 0, 0, rows));
  }
  take(loss);
  return most;
}

}  // namespace longstride
