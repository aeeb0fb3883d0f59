// Shapes and types of every operation, checked once, here; backends rely on them.
#include "ops/ops.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <type_traits>

#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace {

std::string shape_of(std::int64_t rows, std::int64_t cols) { return fmt::format("({}, {})", rows, cols); }
const char* name_of(DType type) { return type == DType::float32 ? "float32" : "bfloat16"; }

// Checks of one operation; each failure is a sentence that begins with its name.
class Check {
 public:
  explicit Check(const char* operation) : operation_(operation) {}

  [[noreturn]] void fail(const std::string& sentence) const {
    throw Error(ErrorKind::invalid_argument, std::string(operation_) + ": " + sentence);
  }
  void is(const char* name, const Matrix& m, DType type, std::int64_t rows, std::int64_t cols) const {
    if (!m) fail(std::string(name) + " is missing");
    if (m.type != type) fail(std::string(name) + " must be " + name_of(type) + ", got " + name_of(m.type));
    if (m.rows != rows || m.cols != cols)
      fail(std::string(name) + " must be " + shape_of(rows, cols) + ", got " + shape_of(m.rows, m.cols));
    if (m.stride < m.cols)
      fail(std::string(name) + " needs a stride of at least " + std::to_string(m.cols) + ", got " +
           std::to_string(m.stride));
  }
  void optional(const char* name, const Matrix& m, DType type, std::int64_t rows, std::int64_t cols) const {
    if (m) is(name, m, type, rows, cols);
  }
  // Heads of (B, T, H, D), one row of which does not reach into another head's or position's.
  void is(const char* name, const Heads& x, DType type, std::int64_t B, std::int64_t T, std::int64_t H,
          std::int64_t D) const {
    if (!x) fail(std::string(name) + " is missing");
    if (x.type != type) fail(std::string(name) + " must be " + name_of(type) + ", got " + name_of(x.type));
    if (x.B != B || x.T != T || x.H != H || x.D != D)
      fail(fmt::format("{} must be ({}, {}, {}, {}), got ({}, {}, {}, {})", name, B, T, H, D, x.B, x.T, x.H, x.D));
    const auto reaches = [&](const char* of, std::int64_t count, std::int64_t stride) {
      if (count > 1 && stride < D)
        fail(fmt::format("{} needs a {} stride of at least {}, got {}", name, of, D, stride));
    };
    reaches("batch", B, x.batch_stride), reaches("row", T, x.row_stride), reaches("head", H, x.head_stride);
  }
  // m gives its shape to the others: any, but not empty.
  void has_shape(const char* name, const Matrix& m) const {
    if (!m) fail(std::string(name) + " is missing");
    if (m.rows < 1 || m.cols < 1) fail(std::string(name) + " must not be empty, got " + shape_of(m.rows, m.cols));
    is(name, m, m.type, m.rows, m.cols);
  }
  void given(const char* name, const void* pointer) const {
    if (pointer == nullptr) fail(std::string(name) + " is missing");
  }
  void at_least(const char* name, std::int64_t value, std::int64_t least) const {
    if (value < least)
      fail(std::string(name) + " must be at least " + std::to_string(least) + ", got " + std::to_string(value));
  }
  void channels(const char* name, std::int64_t D) const {
    if (D < 1 || D > kMaxHeadChannels)
      fail(fmt::format("{} must have 1 to {} channels a head, got {}", name, kMaxHeadChannels, D));
  }
  void dropout(const Dropout& d) const {
    if (!(d.rate >= 0 && d.rate < 1)) fail("dropout must be in [0, 1), got " + std::to_string(d.rate));
  }

 private:
  const char* operation_;
};

void check_embed(const Check& check, const Embed& op) {
  check.at_least("B", op.B, 1);
  check.at_least("T", op.T, 1);
  check.at_least("V", op.V, 1);
  check.at_least("first", op.first, 0);
  check.given("tokens", op.tokens);
  if (op.positions < 0 || op.positions > kMaxPositionEmbeddings)
    check.fail("positions must be 0 to " + std::to_string(kMaxPositionEmbeddings) + ", got " +
               std::to_string(op.positions));
  for (int j = 0; j < op.positions; ++j) {
    check.at_least("extent", op.extent[j], 1);
    check.at_least("divisor", op.divisor[j], 1);
  }
  if (op.hashes < 0 || op.hashes > kMaxHashEmbeddings)
    check.fail("hashes must be 0 to " + std::to_string(kMaxHashEmbeddings) + ", got " + std::to_string(op.hashes));
  if (op.hashes > 0) {
    check.at_least("buckets", op.buckets, 1);
    check.given("hash_rows", op.hash_rows);
  }
  if (op.tokens_stride != 0) check.at_least("tokens_stride", op.tokens_stride, op.T + op.history);
  check.at_least("history", op.history, 0);
  check.at_least("taps", op.taps, 0);
  if (op.taps > 0) check.given("kernel", op.kernel);
}

void check_attention(const Check& check, const Attention& op) {
  check.at_least("B", op.B, 1);
  check.at_least("T", op.T, 1);
  check.at_least("H", op.H, 1);
  check.given("tilings", op.tilings);
  if (!(op.scale > 0)) check.fail("scale must be above 0, got " + std::to_string(op.scale));
  for (std::int64_t h = 0; h < op.H; ++h) {
    check.given("a tiling", op.tilings[h]);
    if (op.tilings[h]->length() != op.T)
      check.fail("tiling of head " + std::to_string(h) + " must have length " + std::to_string(op.T) + ", got " +
                 std::to_string(op.tilings[h]->length()));
  }
  if (!op.q) check.fail("q is missing");
  const std::int64_t queries = op.q.T, Dq = op.q.D, Dv = op.v.D;
  check.channels("q", Dq);
  check.channels("v", Dv);
  check.is("q", op.q, op.q.type, op.B, queries, op.H, Dq);
  check.is("k", op.k, op.q.type, op.B, op.T, op.H, Dq);
  check.is("v", op.v, op.q.type, op.B, op.T, op.H, Dv);
  check.is("out", op.out, op.q.type, op.B, queries, op.H, Dv);
  check.at_least("first", op.first, 0);
  if (queries > op.T - op.first)
    check.fail(fmt::format("queries must lie in [0, {}), got [{}, {})", op.T, op.first, op.first + queries));
  check.given("lse", op.lse);
}

void check_operation(const Embed& op) {
  const Check check("embed");
  check_embed(check, op);
  check.is("out", op.out, DType::float32, op.B * op.T, op.out.cols);
  check.at_least("C", op.out.cols, 1);
  check.given("start", op.start);
  check.given("token", op.token);
  for (int j = 0; j < op.positions; ++j) check.given("position", op.position[j]);
  for (int g = 0; g < op.hashes; ++g) check.given("hash", op.hash[g]);
}

void check_operation(const ResidualNorm& op) {
  const Check check("residual_norm");
  check.has_shape("h_in", op.h_in);
  const std::int64_t N = op.h_in.rows, C = op.h_in.cols;
  check.is("h_in", op.h_in, DType::float32, N, C);
  check.has_shape("y", op.y);
  check.is("y", op.y, op.y.type, N, C);
  check.optional("branch", op.branch, op.y.type, N, C);
  if (op.branch || op.h_out) check.is("h_out", op.h_out, DType::float32, N, C);
  check.given("weight", op.weight);
  check.given("bias", op.bias);
  check.given("mean", op.mean);
  check.given("rstd", op.rstd);
  if (!(op.eps > 0)) check.fail("eps must be above 0, got " + std::to_string(op.eps));
  check.dropout(op.dropout);
}

void check_operation(const Linear& op) {
  const Check check("linear");
  check.has_shape("x", op.x);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.x.type, op.w.rows, op.x.cols);
  check.optional("pre", op.pre, op.x.type, op.x.rows, op.w.rows);
  check.has_shape("y", op.y);
  if (op.y.type != DType::float32) check.is("y", op.y, op.x.type, op.x.rows, op.w.rows);
  check.is("y", op.y, op.y.type, op.x.rows, op.w.rows);
}

void check_operation(const DecodeAttention& op) {
  const Check check("decode_attention");
  check.at_least("B", op.B, 1);
  check.at_least("H", op.H, 1);
  check.at_least("slots", op.slots, 1);
  check.at_least("groups", op.groups, 1);
  if (!(op.scale > 0)) check.fail("scale must be above 0, got " + std::to_string(op.scale));
  check.has_shape("q", op.q);
  check.has_shape("v", op.v);
  check.is("q", op.q, op.q.type, op.B, op.q.cols);
  check.is("k", op.k, op.q.type, op.B, op.q.cols);
  check.is("v", op.v, op.q.type, op.B, op.v.cols);
  check.is("out", op.out, op.q.type, op.B, op.v.cols);
  if (op.q.cols % op.H != 0 || op.v.cols % op.H != 0)
    check.fail("q and v must be divisible by " + std::to_string(op.H) + " heads, got widths " +
               std::to_string(op.q.cols) + " and " + std::to_string(op.v.cols));
  check.given("keys", op.keys);
  check.given("values", op.values);
  check.given("first_slot", op.first_slot);
  check.given("group", op.group);
  check.given("write_begin", op.write_begin);
  check.given("read_begin", op.read_begin);
}

}  // namespace

void embed(Backend& backend, const Embed& op) {
  check_operation(op);
  backend.embed(op);
}

void embed_backward(Backend& backend, const EmbedBackward& op) {
  const Check check("embed_backward");
  check_embed(check, op.forward);
  check.is("dout", op.dout, DType::float32, op.forward.B * op.forward.T, op.dout.cols);
  check.at_least("C", op.dout.cols, 1);
  check.given("dstart", op.dstart);
  check.given("dtoken", op.dtoken);
  for (int j = 0; j < op.forward.positions; ++j) check.given("dposition", op.dposition[j]);
  for (int g = 0; g < op.forward.hashes; ++g) check.given("dhash", op.dhash[g]);
  if (op.forward.taps > 0) check.given("dkernel", op.dkernel);
  backend.embed_backward(op);
}

void residual_norm(Backend& backend, const ResidualNorm& op) {
  check_operation(op);
  backend.residual_norm(op);
}

void residual_norm_backward(Backend& backend, const ResidualNormBackward& op) {
  const Check check("residual_norm_backward");
  check.has_shape("dy", op.dy);
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  check.is("h", op.h, DType::float32, N, C);
  check.optional("dh_out", op.dh_out, DType::float32, N, C);
  check.is("dh", op.dh, DType::float32, N, C);
  check.optional("dbranch", op.dbranch, op.dy.type, N, C);
  check.given("mean", op.mean);
  check.given("rstd", op.rstd);
  check.given("weight", op.weight);
  check.given("dweight", op.dweight);
  check.given("dbias", op.dbias);
  check.dropout(op.dropout);
  backend.residual_norm_backward(op);
}

void linear(Backend& backend, const Linear& op) {
  check_operation(op);
  backend.linear(op);
}

void linear_backward_data(Backend& backend, const LinearBackwardData& op) {
  const Check check("linear_backward_data");
  check.has_shape("dy", op.dy);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.dy.type, op.dy.cols, op.w.cols);
  check.optional("pre", op.pre, op.dy.type, op.dy.rows, op.w.cols);
  check.is("dx", op.dx, op.dy.type, op.dy.rows, op.w.cols);
  backend.linear_backward_data(op);
}

void linear_backward_weights(Backend& backend, const LinearBackwardWeights& op) {
  const Check check("linear_backward_weights");
  check.has_shape("dy", op.dy);
  check.has_shape("x", op.x);
  check.is("x", op.x, op.dy.type, op.dy.rows, op.x.cols);
  check.is("dw", op.dw, DType::float32, op.dy.cols, op.x.cols);
  backend.linear_backward_weights(op);
}

void attention(Backend& backend, const Attention& op) {
  check_attention(Check("attention"), op);
  backend.attention(op);
}

void attention_backward(Backend& backend, const AttentionBackward& op) {
  const Check check("attention_backward");
  const Attention& forward = op.forward;
  check_attention(check, forward);
  const auto [B, T, H, Dq, Dv] = std::array{forward.B, forward.T, forward.H, forward.q.D, forward.v.D};
  if (forward.first != 0 || forward.q.T != T)
    check.fail(fmt::format("needs the queries of whole sequences, [0, {}), got [{}, {})", T, forward.first,
                           forward.first + forward.q.T));
  check.is("dout", op.dout, forward.q.type, B, T, H, Dv);
  check.is("dq", op.dq, forward.q.type, B, T, H, Dq);
  check.is("dk", op.dk, forward.q.type, B, T, H, Dq);
  check.is("dv", op.dv, forward.q.type, B, T, H, Dv);
  backend.attention_backward(op);
}

void vocabulary_loss(Backend& backend, const VocabularyLoss& op) {
  const Check check("vocabulary_loss");
  check.has_shape("x", op.x);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.x.type, op.w.rows, op.x.cols);
  check.given("targets", op.targets);
  check.given("losses", op.losses);
  if (static_cast<bool>(op.dx) != static_cast<bool>(op.dw)) check.fail("dx and dw are given together or not at all");
  check.optional("dx", op.dx, op.x.type, op.x.rows, op.x.cols);
  check.optional("dw", op.dw, DType::float32, op.w.rows, op.w.cols);
  backend.vocabulary_loss(op);
}

void adamw(Backend& backend, const AdamW& op) {
  const Check check("adamw");
  check.at_least("count", op.count, 1);
  check.given("w", op.w);
  check.given("m", op.m);
  check.given("v", op.v);
  check.given("dw", op.dw);
  if (op.row < 0 || (op.row > 0 && op.count % op.row != 0))
    check.fail("row must be 0 or divide count " + std::to_string(op.count) + ", got " + std::to_string(op.row));
  if (!(op.correction1 > 0 && op.correction2 > 0))
    check.fail("corrections must be above 0, got " + std::to_string(op.correction1) + " and " +
               std::to_string(op.correction2));
  backend.adamw(op);
}

void decode_attention(Backend& backend, const DecodeAttention& op) {
  check_operation(op);
  backend.decode_attention(op);
}

void store_keys_values(Backend& backend, const StoreKeysValues& op) {
  const Check check("store_keys_values");
  check.at_least("H", op.H, 1);
  check.at_least("slots", op.slots, 1);
  check.at_least("groups", op.groups, 1);
  check.has_shape("k", op.k);
  check.has_shape("v", op.v);
  check.is("v", op.v, op.k.type, op.k.rows, op.v.cols);
  if (op.k.cols % op.H != 0 || op.v.cols % op.H != 0)
    check.fail("k and v must be divisible by " + std::to_string(op.H) + " heads, got widths " +
               std::to_string(op.k.cols) + " and " + std::to_string(op.v.cols));
  check.given("keys", op.keys);
  check.given("values", op.values);
  check.given("first_slot", op.first_slot);
  check.given("group", op.group);
  check.given("begin", op.begin);
  backend.store_keys_values(op);
}

void run(Backend& backend, std::span<const Operation> program) {
  for (const Operation& operation : program) std::visit([](const auto& op) { check_operation(op); }, operation);
  backend.run(program);
}

void Backend::run(std::span<const Operation> program) {
  const auto call = [this](const auto& op) {
    using Op = std::decay_t<decltype(op)>;
    if constexpr (std::is_same_v<Op, Embed>) embed(op);
    if constexpr (std::is_same_v<Op, ResidualNorm>) residual_norm(op);
    if constexpr (std::is_same_v<Op, Linear>) linear(op);
    if constexpr (std::is_same_v<Op, DecodeAttention>) decode_attention(op);
  };
  for (const Operation& operation : program) std::visit(call, operation);
}

}  // namespace longstride
