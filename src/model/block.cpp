// This puts each operation of a block together in one place, for every program that has it.
#include "model/block.h"

#include <cmath>

namespace longstride {

namespace {

// dx = dy W (* f'(pre)), dW += dy^T x, dbias += column sums of dy, as two operations. weight, bias: where their
// gradients lie.
void add_product_backward(Program& program, const Linear& forward, const Matrix& dy, const Matrix& dx,
                          const Matrix& pre, const Weights& gradients, std::int64_t weight, std::int64_t bias) {
  const std::int64_t M = forward.w.rows, K = forward.w.cols;
  program.add(LinearBackwardData{dy, forward.w, pre, dx});
  program.add(
      LinearBackwardWeights{dy, forward.x, gradients.matrix(weight, M, K, DType::float32), gradients.array(bias, M)});
}

// h = before + dropout(branch) first, where the norm reads h as it is.
void add_before(ResidualNorm& norm, const Matrix& before, const Matrix& branch) {
  norm.h_out = norm.h_in;
  norm.h_in = before;
  norm.branch = branch;
}

}  // namespace

QueriesKeysValues split(const ModelConfig& model, const Matrix& side_by_side) {
  const std::int64_t Cq = model.query_width();
  return {side_by_side.columns(0, Cq), side_by_side.columns(Cq, Cq), side_by_side.columns(2 * Cq, model.width)};
}

BlockViews block_views(Program& program, const ModelConfig& model, const BlockShape& shape, Keeping keeping,
                       const Matrix& h, const Matrix& qkv) {
  const auto all = [&](DType type, std::int64_t cols) {
    return program.matrix("block", Life::passing, type, shape.N, cols);
  };
  const auto some = [&](const char* name, std::int64_t cols) {
    return program.matrix(name, Life::passing, shape.type, shape.rows_at_once, cols);
  };
  const auto between = [&](std::int64_t cols) {
    return keeping == Keeping::all ? all(shape.type, cols) : some("block", cols);
  };
  const auto floats = [&](std::int64_t a_row) { return program.array<float>("block", Life::passing, shape.N * a_row); };
  BlockViews at;
  at.h = h;
  at.mean1 = floats(1), at.rstd1 = floats(1);
  at.y1 = between(model.width);
  at.qkv = qkv ? qkv : all(shape.type, 2 * model.query_width() + model.width);
  at.attended = all(shape.type, model.width);
  at.lse = floats(model.heads);
  at.h_mid = keeping == Keeping::nothing ? h : all(DType::float32, model.width);
  at.mean2 = floats(1), at.rstd2 = floats(1);
  at.y2 = between(model.width);
  if (keeping != Keeping::nothing) at.pre = between(model.hidden_width());
  at.hidden = between(model.hidden_width());
  at.branch = some("branch", model.width);
  return at;
}

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

ResidualNorm Block::norm(const NormViews& at, std::int64_t weight, std::int64_t bias, float eps, Dropout dropout,
                         Rows rows) const {
  ResidualNorm op;
  op.h_in = some(at.h, rows);
  op.dropout = dropout;
  op.weight = weights_.array(weight, model_.width);
  op.bias = weights_.array(bias, model_.width);
  op.eps = eps;
  op.y = some(at.y, rows);
  op.mean = at.mean.from(rows.first, rows.count);
  op.rstd = at.rstd.from(rows.first, rows.count);
  return op;
}

ResidualNorm Block::attention_norm(const Block* below, Rows rows) const {
  ResidualNorm op = norm({at_.h, at_.y1, at_.mean1, at_.rstd1}, offsets_.attention_norm_weight,
                         offsets_.attention_norm_bias, kNormEps, dropout(index_ - 1, 1, rows), rows);
  if (below != nullptr) add_before(op, some(below->at_.h_mid, rows), some(below->at_.branch, rows));
  return op;
}

ResidualNorm Block::feedforward_norm(Rows rows, bool again) const {
  ResidualNorm op = norm({at_.h_mid, at_.y2, at_.mean2, at_.rstd2}, offsets_.feedforward_norm_weight,
                         offsets_.feedforward_norm_bias, kNormEps, dropout(index_, 0, rows), rows);
  if (!again) add_before(op, some(at_.h, rows), some(at_.branch, rows));
  return op;
}

ResidualNorm Block::final_norm(const NormViews& at, Rows rows) const {
  ResidualNorm op = norm(at, weights_.table->final_norm_weight, weights_.table->final_norm_bias, kFinalNormEps,
                         dropout(index_, 1, rows), rows);
  add_before(op, some(at_.h_mid, rows), some(at_.branch, rows));
  return op;
}

void Block::enter(Program& program, const Block* below, Rows rows) const {
  program.add(attention_norm(below, rows));
  program.add(qkv(rows));
}

void Block::leave(Program& program, Rows rows) const {
  program.add(projection(rows));
  program.add(feedforward_norm(rows, false));
  program.add(expand(rows));
  program.add(contract(rows));
}

Attention Block::attention(std::int64_t B, std::int64_t T, const Tiling* const* tilings) const {
  const auto [q, k, v] = split(model_, at_.qkv);
  const auto of = [&](const Matrix& m) { return heads(m, B, T, model_.heads); };
  Attention op;
  op.B = B;
  op.T = T;
  op.H = model_.heads;
  op.tilings = tilings;
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = of(q), op.k = of(k), op.v = of(v);
  op.out = of(at_.attended);
  op.lse = at_.lse;
  return op;
}

DecodeAttention Block::decode_attention() const {
  const auto [q, k, v] = split(model_, at_.qkv);
  DecodeAttention op;
  op.H = model_.heads;
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = q, op.k = k, op.v = v;
  op.out = at_.attended;
  return op;
}

ResidualNormBackward Block::norm_backward(const ResidualNorm& forward, const Weights& gradients, std::int64_t weight,
                                          std::int64_t bias, const Matrix& dy, const BlockGradients& d,
                                          Rows rows) const {
  ResidualNormBackward op;
  op.dy = dy;
  op.h = forward.h_out ? forward.h_out : forward.h_in;
  op.mean = forward.mean;
  op.rstd = forward.rstd;
  op.weight = forward.weight;
  op.dh_out = some(d.dh, rows);
  op.dh = some(d.dh, rows);
  op.dropout = forward.dropout;
  op.dweight = gradients.array(weight, model_.width);
  op.dbias = gradients.array(bias, model_.width);
  return op;
}

// Nothing comes from above but through the norm.
ResidualNormBackward Block::final_norm_backward(const NormViews& at, const Weights& gradients, const BlockGradients& d,
                                                Rows rows) const {
  const ParameterTable& table = *weights_.table;
  const Matrix dbranch = some(d.dbranch, rows);
  ResidualNormBackward op =
      norm_backward(final_norm(at, rows), gradients, table.final_norm_weight, table.final_norm_bias, dbranch, d, rows);
  op.dh_out = {};
  op.dbranch = dbranch;
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
  const auto [dq, dk, dv] = split(model_, d.dqkv);
  const auto of = [&](const Matrix& m) { return heads(m, forward.B, forward.T, forward.H); };
  AttentionBackward op;
  op.forward = forward;
  op.dout = of(d.dbranch);
  op.dq = of(dq), op.dk = of(dk), op.dv = of(dv);
  return op;
}

void Block::enter_backward(Program& program, const Weights& gradients, const BlockGradients& d, Rows rows,
                           Kept kept) const {
  const ResidualNorm norm = attention_norm(nullptr, rows);
  if (kept != Kept::all) program.add(norm);
  const Matrix dy1 = some(d.dy1, rows);
  add_product_backward(program, qkv(rows), some(d.dqkv, rows), dy1, {}, gradients, offsets_.qkv_weight,
                       offsets_.qkv_bias);
  ResidualNormBackward op =
      norm_backward(norm, gradients, offsets_.attention_norm_weight, offsets_.attention_norm_bias, dy1, d, rows);
  if (index_ > 0) op.dbranch = some(d.dbranch, rows);
  program.add(op);
}

}  // namespace longstride
