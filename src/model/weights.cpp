// This describes the embedding and the output as operations, from the configuration and the table.
#include "model/weights.h"

namespace longstride {

namespace {

std::vector<Array<float>> tables(const Weights& weights, const std::vector<std::int64_t>& offsets, std::int64_t count) {
  std::vector<Array<float>> all;
  for (const std::int64_t offset : offsets) all.push_back(weights.array(offset, count));
  return all;
}

}  // namespace

Linear output_product(const ModelConfig& model, const Weights& weights, const Matrix& y, const Matrix& logits) {
  Linear op;
  op.x = y;
  op.w = weights.matrix(weights.table->output_weight, model.vocabulary, model.width, y.type);
  op.y = logits;
  return op;
}

Embed embedding_of(const ModelConfig& model, const Weights& weights) {
  const ParameterTable& table = *weights.table;
  const std::int64_t C = model.width;
  Embed e;
  e.V = model.vocabulary;
  e.start = weights.array(table.start, C);
  e.token = weights.array(table.token_embedding, model.vocabulary * C);
  e.positions.resize(model.positions.size());
  std::int64_t divisor = 1;
  for (std::size_t j = model.positions.size(); j-- > 0;) {  // row-major: the last extent runs fastest
    e.positions[j] = {weights.array(table.position_embeddings[j], model.positions[j] * C), model.positions[j], divisor};
    divisor *= model.positions[j];
  }
  e.buckets = model.hash_buckets;
  e.hash = tables(weights, table.hash_embeddings, model.hash_buckets * C);
  e.taps = model.convolution;
  e.kernel = weights.array(table.token_convolution, model.convolution * C);
  return e;
}

EmbedBackward embedding_backward_of(const ModelConfig& model, const Weights& weights, const Weights& gradients) {
  const Embed of_gradients = embedding_of(model, gradients);
  EmbedBackward op;
  op.forward = embedding_of(model, weights);
  op.dstart = of_gradients.start;
  op.dtoken = of_gradients.token;
  for (const Embed::Positions& positions : of_gradients.positions) op.dposition.push_back(positions.table);
  op.dhash = of_gradients.hash;
  op.dkernel = of_gradients.kernel;
  return op;
}

}  // namespace longstride
