// This builds the network's buffers and runs it forward.
#include "model/network.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "longstride/error.h"
#include "model/hashes.h"

namespace longstride {

Matrix Weights::matrix(std::int64_t offset, std::int64_t rows, std::int64_t cols, DType type) const {
  if (f32 == nullptr) return longstride::matrix(nullptr, type, rows, cols);
  if (type == DType::float32) return longstride::matrix(const_cast<float*>(f32) + offset, type, rows, cols);
  return longstride::matrix(const_cast<std::uint16_t*>(bf16) + offset, type, rows, cols);
}

Embed embedding_of(const ModelConfig& model, const Weights& weights) {
  Embed e;
  e.V = model.vocabulary;
  e.start = weights.vector(weights.table->start);
  e.token = weights.vector(weights.table->token_embedding);
  e.positions = static_cast<int>(model.positions.size());
  std::int64_t divisor = 1;
  for (int j = e.positions - 1; j >= 0; --j) {  // row-major: the last extent runs fastest
    const auto at = static_cast<std::size_t>(j);
    e.position[j] = weights.vector(weights.table->position_embeddings[at]);
    e.extent[j] = model.positions[at];
    e.divisor[j] = divisor;
    divisor *= model.positions[at];
  }
  e.hashes = static_cast<int>(model.hash_orders.size());
  e.buckets = model.hash_buckets;
  for (int g = 0; g < e.hashes; ++g)
    e.hash[g] = weights.vector(weights.table->hash_embeddings[static_cast<std::size_t>(g)]);
  e.taps = model.convolution;
  e.kernel = weights.vector(weights.table->token_convolution);
  return e;
}

Network::Network(Backend* backend, const ModelConfig& model, const NetworkShape& shape)
    : backend_(*backend), model_(model), table_(model), memory_(model, shape), batch_(shape.batch) {
  check(model);
  if (shape.tokens < 1 || shape.tokens > model.context)
    throw Error(ErrorKind::invalid_argument, "network: needs 1 to " + std::to_string(model.context) + " tokens, got " +
                                                 std::to_string(shape.tokens));
  const auto cycle = std::min<std::int64_t>(static_cast<std::int64_t>(model.attention.blocks.size()), model.layers);
  for (std::int64_t block = 0; block < cycle; ++block) {
    std::vector<const Tiling*>& heads = head_tilings_.emplace_back();
    for (std::int64_t head = 0; head < model.heads; ++head) {
      const Pattern pattern = model.attention.head(block, head);
      const auto same = [&](const std::unique_ptr<Tiling>& tiling) { return tiling->pattern() == pattern; };
      auto found = std::find_if(tilings_.begin(), tilings_.end(), same);
      if (found == tilings_.end())
        found = tilings_.insert(tilings_.end(), std::make_unique<Tiling>(pattern, shape.tokens));
      heads.push_back(found->get());
    }
  }
}

Network::Network(Backend& backend, const ModelConfig& model, const NetworkShape& shape)
    : Network(&backend, model, shape) {
  arena_ = Buffer(backend, memory_.plan().total_bytes());
  backend.reserve_workspace(workspace_bytes());
  shifted_.resize(static_cast<std::size_t>(shape.batch * shape.tokens));
  targets_.resize(shifted_.size());
  hash_rows_.resize(shifted_.size() * model.hash_orders.size());
}

Network::Bytes Network::bytes(const Backend& backend, const ModelConfig& model, const NetworkShape& shape) {
  const Network planned(const_cast<Backend*>(&backend), model, shape);
  return {planned.memory_.plan().total_bytes(), planned.workspace_bytes()};
}

Matrix Network::buffer(std::size_t index, std::int64_t cols, DType type) const {
  char* base = static_cast<char*>(arena_.data());
  return matrix(base == nullptr ? nullptr : base + memory_.plan().offset(index), type, batch_ * shape().tokens, cols);
}

Matrix Network::buffer(std::size_t index, std::int64_t cols, DType type, Rows rows) const {
  return buffer(index, cols, type).rows_from(memory_.holds_some_rows(index) ? 0 : rows.first, rows.count);
}

float* Network::floats(std::size_t index) const { return buffer(index, 1, DType::float32).f32(); }

const std::int32_t* Network::indices(std::size_t index) const {
  return reinterpret_cast<const std::int32_t*>(floats(index));
}

Dropout Network::dropout(const Pass& pass, std::int64_t block, int site, Rows rows) const {
  return {pass.dropout, pass.dropout_seed, pass.dropout_step, static_cast<std::int32_t>(block), site, rows.first};
}

Linear Network::qkv_product(const Weights& w, std::int64_t block, Rows rows) const {
  const Layer& layer = memory_.layer(block);
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  Linear op;
  op.x = activation(layer.y1, model_.width, rows);
  op.w = w.matrix(at.qkv_weight, qkv_cols(), model_.width, shape().type);
  op.bias = w.vector(at.qkv_bias);
  op.y = activation(layer.qkv, qkv_cols(), rows);
  return op;
}

Linear Network::projection_product(const Weights& w, std::int64_t block, Rows rows) const {
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  Linear op;
  op.x = activation(memory_.layer(block).attended, model_.width, rows);
  op.w = w.matrix(at.projection_weight, model_.width, model_.width, shape().type);
  op.bias = w.vector(at.projection_bias);
  op.y = activation(memory_.branch, model_.width, rows);
  return op;
}

Linear Network::expand_product(const Weights& w, std::int64_t block, Rows rows) const {
  const Layer& layer = memory_.layer(block);
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  Linear op;
  op.x = activation(layer.y2, model_.width, rows);
  op.w = w.matrix(at.expand_weight, model_.hidden_width(), model_.width, shape().type);
  op.bias = w.vector(at.expand_bias);
  op.activation = Activation::gelu_sigmoid;
  if (shape().training) op.pre = activation(layer.pre, model_.hidden_width(), rows);
  op.y = activation(layer.hidden, model_.hidden_width(), rows);
  return op;
}

Linear Network::contract_product(const Weights& w, std::int64_t block, Rows rows) const {
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  Linear op;
  op.x = activation(memory_.layer(block).hidden, model_.hidden_width(), rows);
  op.w = w.matrix(at.contract_weight, model_.width, model_.hidden_width(), shape().type);
  op.bias = w.vector(at.contract_bias);
  op.y = activation(memory_.branch, model_.width, rows);
  return op;
}

Attention Network::attention_of(std::int64_t block) const {
  const Layer& layer = memory_.layer(block);
  const std::int64_t Cq = model_.query_width();
  const Matrix qkv = activation(layer.qkv, qkv_cols());
  Attention op;
  op.B = batch_;
  op.T = shape().tokens;
  op.H = model_.heads;
  op.tilings = head_tilings_[static_cast<std::size_t>(block) % head_tilings_.size()].data();
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = qkv.columns(0, Cq);
  op.k = qkv.columns(Cq, Cq);
  op.v = qkv.columns(2 * Cq, model_.width);
  op.out = activation(layer.attended, model_.width);
  op.lse = floats(layer.lse);
  return op;
}

// The input of block k: what block k - 1 left, its feedforward branch added now, where k > 0.
ResidualNorm Network::attention_norm(const Weights& w, const Pass& pass, std::int64_t block, Rows rows) const {
  const Layer& layer = memory_.layer(block);
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  ResidualNorm op;
  op.h_in = residual(block == 0 ? layer.h : memory_.layer(block - 1).h_mid, rows);
  if (block > 0) op.branch = activation(memory_.branch, model_.width, rows);
  op.dropout = dropout(pass, block - 1, 1, rows);
  op.h_out = residual(layer.h, rows);
  op.weight = w.vector(at.attention_norm_weight);
  op.bias = w.vector(at.attention_norm_bias);
  op.eps = kNormEps;
  op.y = activation(layer.y1, model_.width, rows);
  op.mean = floats(layer.mean1) + rows.first;
  op.rstd = floats(layer.rstd1) + rows.first;
  return op;
}

ResidualNorm Network::feedforward_norm(const Weights& w, const Pass& pass, std::int64_t block, Rows rows) const {
  const Layer& layer = memory_.layer(block);
  const BlockOffsets& at = table_.blocks[static_cast<std::size_t>(block)];
  ResidualNorm op;
  op.h_in = residual(layer.h, rows);
  op.branch = activation(memory_.branch, model_.width, rows);
  op.dropout = dropout(pass, block, 0, rows);
  op.h_out = residual(layer.h_mid, rows);
  op.weight = w.vector(at.feedforward_norm_weight);
  op.bias = w.vector(at.feedforward_norm_bias);
  op.eps = kNormEps;
  op.y = activation(layer.y2, model_.width, rows);
  op.mean = floats(layer.mean2) + rows.first;
  op.rstd = floats(layer.rstd2) + rows.first;
  return op;
}

ResidualNorm Network::final_norm(const Weights& w, const Pass& pass, Rows rows) const {
  ResidualNorm op;
  op.h_in = residual(memory_.layer(model_.layers - 1).h_mid, rows);
  op.branch = activation(memory_.branch, model_.width, rows);
  op.dropout = dropout(pass, model_.layers - 1, 1, rows);
  op.h_out = residual(memory_.final_h, rows);
  op.weight = w.vector(table_.final_norm_weight);
  op.bias = w.vector(table_.final_norm_bias);
  op.eps = kFinalNormEps;
  op.y = activation(memory_.final_y, model_.width, rows);
  op.mean = floats(memory_.final_mean) + rows.first;
  op.rstd = floats(memory_.final_rstd) + rows.first;
  return op;
}

VocabularyLoss Network::loss_of(const Weights& w) const {
  VocabularyLoss op;
  op.x = activation(memory_.final_y, model_.width);
  op.w = w.matrix(table_.output_weight, model_.vocabulary, model_.width, shape().type);
  op.targets = indices(memory_.targets);
  op.losses = floats(memory_.losses);
  return op;
}

void Network::load(const Pass& pass) {
  if (pass.batch < 1 || pass.batch > shape().batch)
    throw Error(ErrorKind::invalid_argument, "network: needs 1 to " + std::to_string(shape().batch) +
                                                 " sequences, got " + std::to_string(pass.batch));
  batch_ = pass.batch;
  const std::int64_t T = shape().tokens;
  for (std::int64_t row = 0; row < batch_ * T; ++row) {
    const std::int32_t token = pass.tokens[row];
    if (token < 0 || token >= model_.vocabulary)
      throw Error(ErrorKind::invalid_argument, "network: token " + std::to_string(token) +
                                                   " is outside the vocabulary of " +
                                                   std::to_string(model_.vocabulary));
    const auto at = static_cast<std::size_t>(row);
    shifted_[at] = row % T == 0 ? -1 : pass.tokens[row - 1];
    hash_rows(model_, pass.tokens + row, row % T, hash_rows_.data() + row, batch_ * T);
    targets_[at] = pass.scored == nullptr || pass.scored[row] != 0 ? token : -1;
  }
  backend_.upload(floats(memory_.tokens), shifted_.data(), batch_ * T * 4);
  backend_.upload(floats(memory_.targets), targets_.data(), batch_ * T * 4);
  const auto orders = static_cast<std::int64_t>(model_.hash_orders.size());
  if (orders > 0) backend_.upload(floats(memory_.hash_rows), hash_rows_.data(), orders * batch_ * T * 4);
}

// From a block's input to its attention's. Without a branch: h as it is.
void Network::enter_block(const Weights& w, const ResidualNorm& norm, std::int64_t block, Rows rows) {
  residual_norm(backend_, norm);
  linear(backend_, qkv_product(w, block, rows));
}

// What lies between the attention of a block and that of the next one, or the loss.
void Network::leave_block(const Weights& w, const Pass& pass, std::int64_t block, Rows rows) {
  linear(backend_, projection_product(w, block, rows));
  residual_norm(backend_, feedforward_norm(w, pass, block, rows));
  linear(backend_, expand_product(w, block, rows));
  linear(backend_, contract_product(w, block, rows));
  if (block + 1 < model_.layers) {
    enter_block(w, attention_norm(w, pass, block + 1, rows), block + 1, rows);
  } else {
    residual_norm(backend_, final_norm(w, pass, rows));
  }
}

void Network::run_forward(const Weights& w, const Pass& pass) {
  load(pass);
  Embed e = embedding_of(model_, w);
  e.B = batch_;
  e.T = shape().tokens;
  e.tokens = indices(memory_.tokens);
  e.hash_rows = indices(memory_.hash_rows);
  e.out = residual(memory_.layer(0).h);
  embed(backend_, e);
  by_rows([&](Rows rows) { enter_block(w, attention_norm(w, pass, 0, rows), 0, rows); });
  for (std::int64_t block = 0; block < model_.layers; ++block) {
    const Attention of_block = attention_of(block);
    attention(backend_, of_block);
    if (keep_ != nullptr) (*keep_)(block, of_block);
    by_rows([&](Rows rows) { leave_block(w, pass, block, rows); });
  }
}

void Network::store_bits(const Pass& pass, float* bits) {
  backend_.wait();
  const std::int64_t rows = pass.batch * shape().tokens;
  backend_.download(bits, floats(memory_.losses), rows * 4);  // nats
  for (std::int64_t row = 0; row < rows; ++row) bits[row] = static_cast<float>(bits[row] / std::numbers::ln2);
}

void Network::forward(const Weights& weights, const Pass& pass, float* bits) {
  run_forward(weights, pass);
  vocabulary_loss(backend_, loss_of(weights));
  store_bits(pass, bits);
}

// rows: of final_y.
std::vector<float> Network::logits_of(const Weights& weights, const Matrix& rows) {
  const std::int64_t bytes = rows.rows * model_.vocabulary * 4;
  Buffer out(backend_, bytes);
  Linear op;
  op.x = rows;
  op.w = loss_of(weights).w;
  op.y = matrix(out.data(), DType::float32, rows.rows, model_.vocabulary);
  linear(backend_, op);
  backend_.wait();
  std::vector<float> host(static_cast<std::size_t>(rows.rows * model_.vocabulary));
  backend_.download(host.data(), out.data(), bytes);
  return host;
}

std::vector<float> Network::logits(const Weights& weights, const Pass& pass) {
  run_forward(weights, pass);
  return logits_of(weights, activation(memory_.final_y, model_.width));
}

std::vector<float> Network::last_logits(const Weights& weights, const Pass& pass, const Keep& keep) {
  keep_ = &keep;
  run_forward(weights, pass);
  keep_ = nullptr;
  Matrix rows = activation(memory_.final_y, model_.width).rows_from(shape().tokens - 1, batch_);
  rows.stride *= shape().tokens;
  return logits_of(weights, rows);
}

}  // namespace longstride
