// Shapes and types of every operation, checked once; backends rely on them. Here are those of a network's passes.
#include "ops/check.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace longstride {

namespace {

void check_embed(const Check& check, const Embed& op, std::int64_t C) {
  check.at_least("B", op.B, 1);
  check.at_least("T", op.T, 1);
  check.at_least("V", op.V, 1);
  check.at_least("C", C, 1);
  check.at_least("history", op.history, 0);
  if (op.tokens_stride != 0) check.at_least("tokens_stride", op.tokens_stride, op.T + op.history);
  check.given("tokens", op.tokens);
  check.at_least("tokens", op.tokens.count, (op.B - 1) * (op.tokens_stride == 0 ? op.T : op.tokens_stride) + op.T);
  check.optional("at", op.at, op.B * op.T);
  check.at_most("positions", static_cast<std::int64_t>(op.positions.size()), kMaxPositionEmbeddings);
  for (const Embed::Positions& positions : op.positions) {
    check.at_least("extent", positions.extent, 1);
    check.at_least("divisor", positions.divisor, 1);
    check.is("position", positions.table, positions.extent * C);
  }
  check.at_most("hashes", static_cast<std::int64_t>(op.hash.size()), kMaxHashEmbeddings);
  if (!op.hash.empty()) {
    check.at_least("buckets", op.buckets, 1);
    check.is("hash_rows", op.hash_rows, static_cast<std::int64_t>(op.hash.size()) * op.B * op.T);
  }
  for (const Array<float>& table : op.hash) check.is("hash", table, op.buckets * C);
  check.at_least("taps", op.taps, 0);
  if (op.taps > 0) check.is("kernel", op.kernel, op.taps * C);
  check.is("start", op.start, C);
  check.is("token", op.token, op.V * C);
}

void check_attention(const Check& check, const Attention& op) {
  check.at_least("B", op.B, 1);
  check.at_least("T", op.T, 1);
  check.at_least("H", op.H, 1);
  if (op.tilings == nullptr) check.fail("tilings is missing");
  check.scale(op.scale);
  for (std::int64_t h = 0; h < op.H; ++h) {
    if (op.tilings[h] == nullptr) check.fail("a tiling is missing");
    if (op.tilings[h]->length() != op.T)
      check.fail(fmt::format("tiling of head {} must have length {}, got {}", h, op.T, op.tilings[h]->length()));
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
  check.is("lse", op.lse, op.B * op.H * queries);
}

void check_operation(const Check& check, const Embed& op) {
  check_embed(check, op, op.out.cols);
  check.is("out", op.out, DType::float32, op.B * op.T, op.out.cols);
}

void check_operation(const Check& check, const EmbedBackward& op) {
  const Embed& forward = op.forward;
  const std::int64_t C = op.dout.cols;
  check_embed(check, forward, C);
  check.is("dout", op.dout, DType::float32, forward.B * forward.T, C);
  check.is("dstart", op.dstart, C);
  check.is("dtoken", op.dtoken, forward.V * C);
  if (op.dposition.size() != forward.positions.size() || op.dhash.size() != forward.hash.size())
    check.fail("needs a gradient for every table");
  for (std::size_t j = 0; j < op.dposition.size(); ++j)
    check.is("dposition", op.dposition[j], forward.positions[j].table.count);
  for (const Array<float>& table : op.dhash) check.is("dhash", table, forward.buckets * C);
  if (forward.taps > 0) check.is("dkernel", op.dkernel, forward.taps * C);
}

void check_operation(const Check& check, const ResidualNorm& op) {
  check.has_shape("h_in", op.h_in);
  const std::int64_t N = op.h_in.rows, C = op.h_in.cols;
  check.is("h_in", op.h_in, DType::float32, N, C);
  check.has_shape("y", op.y);
  check.is("y", op.y, op.y.type, N, C);
  check.optional("branch", op.branch, op.y.type, N, C);
  if (op.branch || op.h_out) check.is("h_out", op.h_out, DType::float32, N, C);
  check.is("weight", op.weight, C);
  check.is("bias", op.bias, C);
  check.is("mean", op.mean, N);
  check.is("rstd", op.rstd, N);
  if (!(op.eps > 0)) check.fail("eps must be above 0, got " + std::to_string(op.eps));
  check.dropout(op.dropout);
}

void check_operation(const Check& check, const ResidualNormBackward& op) {
  check.has_shape("dy", op.dy);
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  check.is("h", op.h, DType::float32, N, C);
  check.optional("dh_out", op.dh_out, DType::float32, N, C);
  check.is("dh", op.dh, DType::float32, N, C);
  check.optional("dbranch", op.dbranch, op.dy.type, N, C);
  check.is("mean", op.mean, N);
  check.is("rstd", op.rstd, N);
  check.is("weight", op.weight, C);
  check.is("dweight", op.dweight, C);
  check.is("dbias", op.dbias, C);
  check.dropout(op.dropout);
}

void check_operation(const Check& check, const Linear& op) {
  check.has_shape("x", op.x);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.x.type, op.w.rows, op.x.cols);
  check.optional("bias", op.bias, op.w.rows);
  check.optional("pre", op.pre, op.x.type, op.x.rows, op.w.rows);
  check.has_shape("y", op.y);
  if (op.y.type != DType::float32) check.is("y", op.y, op.x.type, op.x.rows, op.w.rows);
  check.is("y", op.y, op.y.type, op.x.rows, op.w.rows);
}

void check_operation(const Check& check, const LinearBackwardData& op) {
  check.has_shape("dy", op.dy);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.dy.type, op.dy.cols, op.w.cols);
  check.optional("pre", op.pre, op.dy.type, op.dy.rows, op.w.cols);
  check.is("dx", op.dx, op.dy.type, op.dy.rows, op.w.cols);
}

void check_operation(const Check& check, const LinearBackwardWeights& op) {
  check.has_shape("dy", op.dy);
  check.has_shape("x", op.x);
  check.is("x", op.x, op.dy.type, op.dy.rows, op.x.cols);
  check.is("dw", op.dw, DType::float32, op.dy.cols, op.x.cols);
  check.optional("dbias", op.dbias, op.dy.cols);
}

void check_operation(const Check& check, const Attention& op) { check_attention(check, op); }

void check_operation(const Check& check, const AttentionBackward& op) {
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
}

void check_operation(const Check& check, const VocabularyLoss& op) {
  check.has_shape("x", op.x);
  check.has_shape("w", op.w);
  check.is("w", op.w, op.x.type, op.w.rows, op.x.cols);
  check.is("targets", op.targets, op.x.rows);
  check.is("losses", op.losses, op.x.rows);
  if (static_cast<bool>(op.dx) != static_cast<bool>(op.dw)) check.fail("dx and dw are given together or not at all");
  check.optional("dx", op.dx, op.x.type, op.x.rows, op.x.cols);
  check.optional("dw", op.dw, DType::float32, op.w.rows, op.w.cols);
}

// Stores of keys and values, and where heads and sequences lie in them. of_width: which operand has keys' width beside
// values'; sequences: how many are named.
template <class Op>
void check_cache(const Check& check, const Op& op, const char* of_width, std::int64_t sequences) {
  const std::int64_t keys = op.k.cols, values = op.v.cols, stored = op.keys.rows / op.slots * op.slots;
  if (keys % op.H != 0 || values % op.H != 0)
    check.fail(
        fmt::format("{} and v must be divisible by {} heads, got widths {} and {}", of_width, op.H, keys, values));
  check.at_least("keys", op.keys.rows, op.slots);
  check.is("keys", op.keys, op.k.type, stored, keys / op.H);
  check.is("values", op.values, op.k.type, stored, values / op.H);
  check.is("sequence", op.sequence, sequences);
  check.is("first_slot", op.first_slot, op.H);
  check.is("group", op.group, op.H);
}

void check_operation(const Check& check, const DecodeAttention& op) {
  check.at_least("H", op.H, 1);
  check.at_least("slots", op.slots, 1);
  check.at_least("groups", op.groups, 1);
  check.scale(op.scale);
  check.has_shape("q", op.q);
  check.has_shape("v", op.v);
  const std::int64_t R = op.q.rows;
  check.is("k", op.k, op.q.type, R, op.q.cols);
  check.is("v", op.v, op.q.type, R, op.v.cols);
  check.is("out", op.out, op.q.type, R, op.v.cols);
  check_cache(check, op, "q", R);
  for (const auto& [name, list] : {std::pair("write_begin", &op.write_begin), std::pair("write_end", &op.write_end),
                                   std::pair("read_begin", &op.read_begin), std::pair("read_end", &op.read_end)})
    check.is(name, *list, R * op.groups);
  check.given("write", op.write);
  check.given("read", op.read);
}

void check_operation(const Check& check, const CacheRows& op) {
  check.at_least("H", op.H, 1);
  check.at_least("slots", op.slots, 1);
  check.at_least("groups", op.groups, 1);
  check.has_shape("k", op.k);
  check.has_shape("v", op.v);
  check.is("v", op.v, op.k.type, op.k.rows, op.v.cols);
  check_cache(check, op, "k", 1);
  check.is("begin", op.begin, op.groups + 1);
  check.given("row", op.row);
  check.is("slot", op.slot, op.row.count);
}

void check_operation(const Check&, const Mark&) {}

constexpr const char* kNames[] = {"embed",
                                  "embed_backward",
                                  "residual_norm",
                                  "residual_norm_backward",
                                  "linear",
                                  "linear_backward_data",
                                  "linear_backward_weights",
                                  "attention",
                                  "attention_backward",
                                  "vocabulary_loss",
                                  "sum_bits",
                                  "sum",
                                  "square_sums",
                                  "gradient_norm",
                                  "adamw",
                                  "pack_rows",
                                  "sum_rows",
                                  "put_rows",
                                  "zero",
                                  "round",
                                  "exchange",
                                  "decode_attention",
                                  "cache_rows",
                                  "mark"};
static_assert(std::size(kNames) == std::variant_size_v<Operation>);

}  // namespace

std::string overlap_of(const char* name, const Heads& x) {
  struct Axis {
    const char* of;
    std::int64_t count, stride;
  };
  Axis axes[] = {{"batch", x.B, x.batch_stride}, {"row", x.T, x.row_stride}, {"head", x.H, x.head_stride}};
  std::stable_sort(std::begin(axes), std::end(axes), [](const Axis& a, const Axis& b) { return a.stride < b.stride; });
  std::int64_t extent = x.D;  // of what lies within one step along the next axis
  for (const Axis& axis : axes) {
    if (axis.count <= 1) continue;
    if (axis.stride < extent)
      return fmt::format("{} needs a {} stride of at least {}, got {}", name, axis.of, extent, axis.stride);
    extent += (axis.count - 1) * axis.stride;
  }
  return "";
}

const char* name_of(const Operation& operation) { return kNames[operation.index()]; }

void check(const Operation& operation) {
  const Check check(name_of(operation));
  std::visit([&](const auto& op) { check_operation(check, op); }, operation);
}

}  // namespace longstride
