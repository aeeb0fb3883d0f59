// The operations of a block, each put together in one place, for every program that has it.
#include "model/block.h"

#include <cmath>

namespace longstride {

namespace {

// The norm once more: its h_out is there, with the branch added.
ResidualNorm once_more(ResidualNorm norm) {
  norm.h_in = norm.h_out ? norm.h_out : norm.h_in;
  norm.branch = {};
  norm.h_out = {};
  return norm;
}

}  // namespace

Block::Block(const ModelConfig& model, const Weights& weights, std::int64_t index, const BlockShape& shape,
             const BlockViews& views)
    : model_(model),
      weights_(weights),
      offsets_(weights.table->blocks[static_cast<std::size_t>(index)]),
      index_(index),
      shape_(shape),
      at_(views) {}

Linear Block::product(const Matrix& x, std::int64_t weight, std::int64_t bias, const Matrix& y) const {
  Linear op;
  op.x = x;
  op.w = weights_.matrix(weight, y.cols, x.cols, shape_.type);
  op.bias = weights_.array(bias, y.cols);
  op.y = y;
  return op;
}

Linear Block::qkv(Rows rows) const {
  return product(some(at_.y1, rows), offsets_.qkv_weight, offsets_.qkv_bias, some(at_.qkv, rows));
}

Linear Block::projection(Rows rows) const {
  return product(some(at_.attended, rows), offsets_.projection_weight, offsets_.projection_bias,
                 some(at_.branch, rows));
}

Linear Block::expand(Rows rows) const {
  Linear op = product(some(at_.y2, rows), offsets_.expand_weight, offsets_.expand_bias, some(at_.hidden, rows));
  op.activation = Activation::gelu_sigmoid;
  if (at_.pre) op.pre = some(at_.pre, rows);
  return op;
}

Linear Block::contract(Rows rows) const {
  return product(some(at_.hidden, rows), offsets_.contract_weight, offsets_.contract_bias, some(at_.branch, rows));
}

Dropout Block::dropout(std::int64_t block, int site, Rows rows) const {
  return {shape_.dropout.rate, shape_.dropout.seed, static_cast<std::int32_t>(block), site, rows.first};
}

// The first block's h is there; another's is what the block below left, its branch added now.
ResidualNorm Block::attention_norm(const Block* below, Rows rows, bool again) const {
  ResidualNorm op;
  op.h_in = some(at_.h, rows);
  if (below != nullptr && !again) {
    op.h_in = some(below->at_.h_mid, rows);
    op.branch = some(below->at_.branch, rows);
    op.h_out = some(at_.h, rows);
  }
  op.dropout = dropout(index_ - 1, 1, rows);
  op.weight = weights_.array(offsets_.attention_norm_weight, model_.width);
  op.bias = weights_.array(offsets_.attention_norm_bias, model_.width);
  op.eps = kNormEps;
  op.y = some(at_.y1, rows);
  op.mean = at_.mean1.from(rows.first, rows.count);
  op.rstd = at_.rstd1.from(rows.first, rows.count);
  return op;
}

ResidualNorm Block::feedforward_norm(Rows rows, bool again) const {
  ResidualNorm op;
  op.h_in = some(at_.h, rows);
  op.branch = some(at_.branch, rows);
  op.dropout = dropout(index_, 0, rows);
  op.h_out = some(at_.h_mid, rows);
  op.weight = weights_.array(offsets_.feedforward_norm_weight, model_.width);
  op.bias = weights_.array(offsets_.feedforward_norm_bias, model_.width);
  op.eps = kNormEps;
  op.y = some(at_.y2, rows);
  op.mean = at_.mean2.from(rows.first, rows.count);
  op.rstd = at_.rstd2.from(rows.first, rows.count);
  return again ? once_more(op) : op;
}

ResidualNorm Block::final_norm(const Matrix& h, const Matrix& y, Array<float> mean, Array<float> rstd,
                               Rows rows) const {
  ResidualNorm op;
  op.h_in = some(at_.h_mid, rows);
  op.branch = some(at_.branch, rows);
  op.dropout = dropout(index_, 1, rows);
  op.h_out = some(h, rows);
  op.weight = weights_.array(weights_.table->final_norm_weight, model_.width);
  op.bias = weights_.array(weights_.table->final_norm_bias, model_.width);
  op.eps = kFinalNormEps;
  op.y = some(y, rows);
  op.mean = mean.from(rows.first, rows.count);
  op.rstd = rstd.from(rows.first, rows.count);
  return op;
}

void Block::enter(Program& program, const Block* below, Rows rows, bool again) const {
  program.add(attention_norm(below, rows, again));
  program.add(qkv(rows));
}

void Block::leave(Program& program, Rows rows) const {
  program.add(projection(rows));
  program.add(feedforward_norm(rows, false));
  program.add(expand(rows));
  program.add(contract(rows));
}

Attention Block::attention(std::int64_t B, std::int64_t T, const Tiling* const* tilings) const {
  const std::int64_t Cq = model_.query_width();
  const auto of = [&](const Matrix& m) { return heads(m, B, T, model_.heads); };
  Attention op;
  op.B = B;
  op.T = T;
  op.H = model_.heads;
  op.tilings = tilings;
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = of(at_.qkv.columns(0, Cq));
  op.k = of(at_.qkv.columns(Cq, Cq));
  op.v = of(at_.qkv.columns(2 * Cq, model_.width));
  op.out = of(at_.attended);
  op.lse = at_.lse;
  return op;
}

DecodeAttention Block::decode_attention() const {
  const std::int64_t Cq = model_.query_width();
  DecodeAttention op;
  op.H = model_.heads;
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = at_.qkv.columns(0, Cq);
  op.k = at_.qkv.columns(Cq, Cq);
  op.v = at_.qkv.columns(2 * Cq, model_.width);
  op.out = at_.attended;
  return op;
}

void add_product_backward(Program& program, const Linear& forward, const Matrix& dy, const Matrix& dx,
                          const Matrix& pre, const Weights& gradients, std::int64_t weight, std::int64_t bias) {
  const std::int64_t M = forward.w.rows, K = forward.w.cols;
  program.add(LinearBackwardData{dy, forward.w, pre, dx});
  program.add(LinearBackwardWeights{dy, forward.x, gradients.matrix(weight, M, K, DType::float32),
                                    bias < 0 ? Array<float>() : gradients.array(bias, M)});
}

ResidualNormBackward Block::norm_backward(const ResidualNorm& again, const Weights& gradients, std::int64_t weight,
                                          std::int64_t bias, const Matrix& dy, const BlockGradients& d,
                                          Rows rows) const {
  ResidualNormBackward op;
  op.dy = dy;
  op.h = again.h_in;
  op.mean = again.mean;
  op.rstd = again.rstd;
  op.weight = again.weight;
  op.dh_out = some(d.dh, rows);
  op.dh = some(d.dh, rows);
  op.dropout = again.dropout;
  op.dweight = gradients.array(weight, model_.width);
  op.dbias = gradients.array(bias, model_.width);
  return op;
}

void Block::leave_backward(Program& program, const Weights& gradients, const BlockGradients& d, Rows rows,
                           Kept kept) const {
  if (kept != Kept::all) {
    if (kept == Kept::none) program.add(projection(rows));
    program.add(feedforward_norm(rows, kept == Kept::mid));
    program.add(expand(rows));
  }
  const Matrix dhidden = some(d.dhidden, rows), dy2 = some(d.dy2, rows), dbranch = some(d.dbranch, rows);
  const Linear expanded = expand(rows);
  add_product_backward(program, contract(rows), dbranch, dhidden, expanded.pre, gradients, offsets_.contract_weight,
                       offsets_.contract_bias);
  add_product_backward(program, expanded, dhidden, dy2, {}, gradients, offsets_.expand_weight, offsets_.expand_bias);
  ResidualNormBackward norm = norm_backward(feedforward_norm(rows, true), gradients, offsets_.feedforward_norm_weight,
                                            offsets_.feedforward_norm_bias, dy2, d, rows);
  norm.dbranch = some(d.dprojection, rows);
  program.add(norm);
  add_product_backward(program, projection(rows), norm.dbranch, dbranch, {}, gradients, offsets_.projection_weight,
                       offsets_.projection_bias);
}

AttentionBackward Block::attention_backward(const Attention& forward, const BlockGradients& d) const {
  const std::int64_t Cq = model_.query_width();
  const auto of = [&](const Matrix& m) { return heads(m, forward.B, forward.T, forward.H); };
  AttentionBackward op;
  op.forward = forward;
  op.dout = of(d.dbranch);
  op.dq = of(d.dqkv.columns(0, Cq));
  op.dk = of(d.dqkv.columns(Cq, Cq));
  op.dv = of(d.dqkv.columns(2 * Cq, model_.width));
  return op;
}

void Block::enter_backward(Program& program, const Weights& gradients, const BlockGradients& d, Rows rows,
                           Kept kept) const {
  const ResidualNorm norm = attention_norm(nullptr, rows, true);
  if (kept != Kept::all) program.add(norm);
  const Matrix dy1 = some(d.dy1, rows);
  add_product_backward(program, qkv(rows), some(d.dqkv, rows), dy1, {}, gradients, offsets_.qkv_weight,
                       offsets_.qkv_bias);
  ResidualNormBackward op = norm_backward(norm, gradients, offsets_.attention_norm_weight,
                                          offsets_.attention_norm_bias, dy1, d, rows);
  if (index_ > 0) op.dbranch = some(d.dbranch, rows);
  program.add(op);
}

}  // namespace longstride
