// The one place where shapes and types of operations are checked; backends rely on it.
#include "ops/ops.h"

#include <fmt/format.h>

#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace {

// Checks of one operation: each says what it needs and what it got.
class Check {
 public:
  explicit Check(const char* operation) : operation_(operation) {}

  [[noreturn]] void fail(const std::string& sentence) const {
    throw Error(ErrorKind::invalid_argument, fmt::format("{}: {}", operation_, sentence));
  }
  void that(bool holds, const char* sentence) const {
    if (!holds) fail(sentence);
  }
  void shape(const char* name, const Matrix& m, std::int64_t rows, std::int64_t cols) const {
    if (m.rows == rows && m.cols == cols && m.stride >= cols) return;
    fail(fmt::format("{} must be ({}, {}), got ({}, {}) with stride {}", name, rows, cols, m.rows, m.cols, m.stride));
  }
  void matrix(const char* name, const Matrix& m, std::int64_t rows, std::int64_t cols, DType type) const {
    shape(name, m, rows, cols);
    if (!m) fail(fmt::format("{} has no data", name));
    if (m.type != type) fail(fmt::format("{} must be {}, got {}", name, word(type), word(m.type)));
  }
  void optional(const char* name, const Matrix& m, std::int64_t rows, std::int64_t cols, DType type) const {
    if (m) matrix(name, m, rows, cols, type);
  }
  void rate(const Dropout& dropout) const {
    if (!(dropout.rate >= 0 && dropout.rate < 1)) fail(fmt::format("dropout must be in [0, 1), got {}", dropout.rate));
  }

 private:
  static const char* word(DType type) { return type == DType::float32 ? "float32" : "bfloat16"; }
  const char* operation_;
};

void check_embed(const Check& check, const Embed& op) {
  check.that(op.B > 0 && op.T > 0 && op.V > 0 && op.first >= 0, "B, T and V must be positive, first not negative");
  check.that(op.tokens != nullptr && op.start != nullptr && op.token != nullptr, "tokens, start and token are needed");
  check.that(op.positions >= 0 && op.positions <= kMaxPositionEmbeddings, "at most 4 position embeddings");
  for (int j = 0; j < op.positions; ++j)
    check.that(op.position[j] != nullptr && op.extent[j] > 0 && op.divisor[j] > 0,
               "a position embedding needs its table, extent and divisor");
}

void check_attention(const Check& check, const Attention& op) {
  check.that(op.B > 0 && op.T > 0 && op.H > 0, "B, T and H must be positive");
  check.that(op.q.cols > 0 && op.q.cols % op.H == 0, "columns of q must be a multiple of the heads");
  check.that(op.v.cols > 0 && op.v.cols % op.H == 0, "columns of v must be a multiple of the heads");
  const std::int64_t N = op.B * op.T;
  check.matrix("q", op.q, N, op.q.cols, op.q.type);
  check.matrix("k", op.k, N, op.q.cols, op.q.type);
  check.matrix("v", op.v, N, op.v.cols, op.q.type);
  check.matrix("out", op.out, N, op.v.cols, op.q.type);
  check.that(op.tilings != nullptr && op.lse != nullptr, "tilings and lse are needed");
  const std::int64_t D = std::max(op.q.cols, op.v.cols) / op.H;
  if (D > 256) check.fail(fmt::format("channels a head must be at most 256, got {}", D));
  for (std::int64_t h = 0; h < op.H; ++h)
    if (op.tilings[h]->length() != op.T)
      check.fail(fmt::format("the tiling of head {} is for {} tokens, T is {}", h, op.tilings[h]->length(), op.T));
}

}  // namespace

void embed(Backend& backend, const Embed& op) {
  const Check check("embed");
  check_embed(check, op);
  check.matrix("out", op.out, op.B * op.T, op.out.cols, DType::float32);
  backend.embed(op);
}

void embed_backward(Backend& backend, const EmbedBackward& op) {
  const Check check("embed_backward");
  check_embed(check, op.forward);
  check.matrix("dout", op.dout, op.forward.B * op.forward.T, op.dout.cols, DType::float32);
  check.that(op.dstart != nullptr && op.dtoken != nullptr, "dstart and dtoken are needed");
  for (int j = 0; j < op.forward.positions; ++j) check.that(op.dposition[j] != nullptr, "dposition is needed");
  backend.embed_backward(op);
}

void residual_norm(Backend& backend, const ResidualNorm& op) {
  const Check check("residual_norm");
  const std::int64_t N = op.y.rows, C = op.y.cols;
  check.matrix("h_in", op.h_in, N, C, DType::float32);
  check.optional("branch", op.branch, N, C, op.y.type);
  check.optional("h_out", op.h_out, N, C, DType::float32);
  check.that(!op.branch || op.h_out, "a branch needs h_out");
  check.matrix("y", op.y, N, C, op.y.type);
  check.that(op.weight != nullptr && op.bias != nullptr && op.mean != nullptr && op.rstd != nullptr,
             "weight, bias, mean and rstd are needed");
  check.rate(op.dropout);
  backend.residual_norm(op);
}

void residual_norm_backward(Backend& backend, const ResidualNormBackward& op) {
  const Check check("residual_norm_backward");
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  check.matrix("dy", op.dy, N, C, op.dy.type);
  check.matrix("h", op.h, N, C, DType::float32);
  check.optional("dh_out", op.dh_out, N, C, DType::float32);
  check.matrix("dh", op.dh, N, C, DType::float32);
  check.optional("dbranch", op.dbranch, N, C, op.dy.type);
  check.that(op.mean != nullptr && op.rstd != nullptr && op.weight != nullptr && op.dweight != nullptr && op.dbias != nullptr,
             "mean, rstd, weight, dweight and dbias are needed");
  check.rate(op.dropout);
  backend.residual_norm_backward(op);
}

void linear(Backend& backend, const Linear& op) {
  const Check check("linear");
  const std::int64_t N = op.x.rows, K = op.x.cols, M = op.w.rows;
  check.matrix("x", op.x, N, K, op.x.type);
  check.matrix("w", op.w, M, K, op.x.type);
  check.optional("pre", op.pre, N, M, op.x.type);
  check.matrix("y", op.y, N, M, op.y.type);
  check.that(op.y.type == op.x.type || op.y.type == DType::float32, "y must be of x's type or float32");
  check.that(!op.pre || op.activation != Activation::none, "pre is kept for an activation, and there is none");
  backend.linear(op);
}

void linear_backward_data(Backend& backend, const LinearBackwardData& op) {
  const Check check("linear_backward_data");
  const std::int64_t N = op.dy.rows, M = op.dy.cols, K = op.w.cols;
  check.matrix("dy", op.dy, N, M, op.dy.type);
  check.matrix("w", op.w, M, K, op.dy.type);
  check.optional("pre", op.pre, N, K, op.dy.type);
  check.matrix("dx", op.dx, N, K, op.dy.type);
  backend.linear_backward_data(op);
}

void linear_backward_weights(Backend& backend, const LinearBackwardWeights& op) {
  const Check check("linear_backward_weights");
  const std::int64_t N = op.dy.rows, M = op.dy.cols, K = op.x.cols;
  check.matrix("dy", op.dy, N, M, op.dy.type);
  check.matrix("x", op.x, N, K, op.dy.type);
  check.matrix("dw", op.dw, M, K, DType::float32);
  backend.linear_backward_weights(op);
}

void attention(Backend& backend, const Attention& op) {
  check_attention(Check("attention"), op);
  backend.attention(op);
}

void attention_backward(Backend& backend, const AttentionBackward& op) {
  const Check check("attention_backward");
  check_attention(check, op.forward);
  const Attention& forward = op.forward;
  check.matrix("dout", op.dout, forward.out.rows, forward.out.cols, forward.q.type);
  check.matrix("dq", op.dq, forward.q.rows, forward.q.cols, forward.q.type);
  check.matrix("dk", op.dk, forward.q.rows, forward.q.cols, forward.q.type);
  check.matrix("dv", op.dv, forward.v.rows, forward.v.cols, forward.q.type);
  backend.attention_backward(op);
}

void vocabulary_loss(Backend& backend, const VocabularyLoss& op) {
  const Check check("vocabulary_loss");
  const std::int64_t N = op.x.rows, C = op.x.cols, V = op.w.rows;
  check.matrix("x", op.x, N, C, op.x.type);
  check.matrix("w", op.w, V, C, op.x.type);
  check.that(op.targets != nullptr && op.losses != nullptr, "targets and losses are needed");
  check.that(static_cast<bool>(op.dx) == static_cast<bool>(op.dw), "dx and dw go together");
  check.optional("dx", op.dx, N, C, op.x.type);
  check.optional("dw", op.dw, V, C, DType::float32);
  backend.vocabulary_loss(op);
}

void adamw(Backend& backend, const AdamW& op) {
  const Check check("adamw");
  check.that(op.count >= 0 && op.w != nullptr && op.m != nullptr && op.v != nullptr && op.dw != nullptr,
             "w, m, v and dw are needed");
  check.that(op.correction1 > 0 && op.correction2 > 0, "corrections must be positive: updates are counted from 1");
  backend.adamw(op);
}

void decode_attention(Backend& backend, const DecodeAttention& op) {
  const Check check("decode_attention");
  check.that(op.B > 0 && op.H > 0 && op.slots >= 0 && op.groups > 0, "B, H and groups must be positive");
  check.that(op.q.cols % op.H == 0 && op.v.cols % op.H == 0, "columns must be a multiple of the heads");
  check.matrix("q", op.q, op.B, op.q.cols, DType::float32);
  check.matrix("k", op.k, op.B, op.q.cols, DType::float32);
  check.matrix("v", op.v, op.B, op.v.cols, DType::float32);
  check.matrix("out", op.out, op.B, op.v.cols, DType::float32);
  check.that(op.keys != nullptr && op.values != nullptr && op.first_slot != nullptr && op.group != nullptr,
             "keys, values, first_slot and group are needed");
  check.that(op.write_begin != nullptr && op.read_begin != nullptr, "slot lists are needed");
  backend.decode_attention(op);
}

}  // namespace longstride
