// The vocabulary of computation: one struct an operation. A program (ops/program.h) is a list of them. B batch, T
// tokens, N = B * T rows, C width, H heads, D channels a head, V vocabulary.
//
// Matrices named with a type A hold activations: float32 or bfloat16, the same within one operation. Sums, statistics
// and softmax are float32 in either. Gradients of parameters are float32 and added to what is there (+=); every other
// output is overwritten. What is said to be optional is left without extent. What changes from run to run of a program
// is no part of an operation: it lies in memory that an operation names, or in StepInputs.
//
// Each operation says which operands it reads and writes (`operands`): lifetimes, addresses and what a run has changed
// follow from that.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "ops/tensor.h"
#include "ops/update.h"
#include "pattern/tiles.h"

namespace longstride {

inline constexpr int kMaxPositionEmbeddings = 4;
inline constexpr int kMaxHashEmbeddings = 8;
inline constexpr std::int64_t kMaxHeadChannels = 256;

// What a run of a program is told besides what its memory holds. Operations read it where the device keeps it.
struct StepInputs {
  std::int64_t dropout_step = 0;           // micro step: differs for every forward pass of training
  float loss_gradient = 0;                 // of the sum of losses in nats
  float rate = 0;                          // learning rate
  float correction1 = 1, correction2 = 1;  // AdamW's 1 - beta1^t and 1 - beta2^t for update t
};

// Inverted dropout as a function of (seed, step, layer, site, element): element (first_row + r) * C + c is kept, and
// scaled by 1 / (1 - rate), where uniform_float of its philox word >= rate. Word: philox({e / 4, site, layer,
// StepInputs::dropout_step}, philox_key(seed, dropout))[e % 4]. Ours.
struct Dropout {
  float rate = 0;  // [0, 1); 0: off
  std::int64_t seed = 0;
  std::int32_t layer = 0;
  std::int32_t site = 0;       // 0 attention, 1 feedforward
  std::int64_t first_row = 0;  // element 0 of the operation's row r is first_row + r's: for rows that are part of more
};

// out = embedding of the token before + position embeddings of the position before (docs/model.md, section 2): row
// (b, t) at position p = t, or p = at[n] where that is given: start where tokens[b, t] < 0, else
// token[tokens[b, t]] + sum_j table_j[index_j(p - 1)], index_j(q) = (q / divisor_j) mod extent_j. Row n then adds
// hash[g][hash_rows[g * N + n]] for every g, where that is not below 0 (model/hashes.h says which), and
// sum_k kernel[k - 1] * token[y_k] element by element, k = 1..taps, y_k the token k places before tokens[b, t], where
// there is one: a causal depthwise convolution of the token embeddings.
struct Embed {
  struct Positions {
    Array<float> table;  // (extent, C)
    std::int64_t extent = 1, divisor = 1;
  };
  std::int64_t B = 0, T = 0, V = 0;
  Array<std::int32_t> tokens;        // (B, T) the token before each position; < 0: none, at a sequence's start
  std::int64_t tokens_stride = 0;    // from one sequence's tokens to the next one's; 0: T
  std::int64_t history = 0;          // tokens that stand before each sequence's first one; < 0 where there was none
  Array<std::int64_t> at;            // (N), optional: the rows' positions
  Array<float> start;                // (C)
  Array<float> token;                // (V, C)
  std::vector<Positions> positions;  // J, at most kMaxPositionEmbeddings
  std::int64_t buckets = 0;
  std::vector<Array<float>> hash;  // G of (buckets, C), at most kMaxHashEmbeddings
  Array<std::int32_t> hash_rows;   // (G, N) in [0, buckets); < 0: none
  std::int64_t taps = 0;           // K
  Array<float> kernel;             // (K, C)
  Matrix out;                      // (N, C) float32

  const std::int32_t* token_before(std::int64_t row) const {
    return tokens.data + row / T * (tokens_stride == 0 ? T : tokens_stride) + row % T;
  }
  // Of the tokens that stand before token_before(row), how many the convolution looks at.
  std::int64_t taps_of(std::int64_t row) const { return std::min(taps, row % T + history); }

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.tokens), visit(Use::reads, op.at), visit(Use::reads, op.start), visit(Use::reads, op.token);
    for (auto& positions : op.positions) visit(Use::reads, positions.table);
    for (auto& table : op.hash) visit(Use::reads, table);
    visit(Use::reads, op.hash_rows), visit(Use::reads, op.kernel), visit(Use::writes, op.out);
  }
};
struct EmbedBackward {
  Embed forward;  // out absent
  Matrix dout;    // (N, C) float32
  Array<float> dstart, dtoken;
  std::vector<Array<float>> dposition, dhash;
  Array<float> dkernel;

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    Embed::operands(op.forward, visit);
    visit(Use::reads, op.dout), visit(Use::changes, op.dstart), visit(Use::changes, op.dtoken);
    for (auto& table : op.dposition) visit(Use::changes, table);
    for (auto& table : op.dhash) visit(Use::changes, table);
    visit(Use::changes, op.dkernel);
  }
};

// h_out = h_in + dropout(branch);  y = (h_out - mean) * rstd * weight + bias, per row. Two passes for the variance.
struct ResidualNorm {
  Matrix h_in;    // (N, C) float32
  Matrix branch;  // (N, C) A, optional: without it h_out = h_in
  Dropout dropout;
  Matrix h_out;         // (N, C) float32, may be h_in; optional without branch
  Array<float> weight;  // (C)
  Array<float> bias;    // (C)
  float eps = 0;
  Matrix y;           // (N, C) A
  Array<float> mean;  // (N)
  Array<float> rstd;  // (N) 1 / sqrt(variance + eps)

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.h_in), visit(Use::reads, op.branch), visit(Use::reads, op.weight), visit(Use::reads, op.bias);
    visit(Use::writes, op.h_out), visit(Use::writes, op.y), visit(Use::writes, op.mean), visit(Use::writes, op.rstd);
  }
};
// With xhat = (h - mean) * rstd, g = dy * weight, and mean_c the mean over channels:
//   dh     = dh_out + rstd * (g - mean_c(g) - xhat * mean_c(g * xhat));  dweight += sum_n dy * xhat;  dbias += sum_n dy
//   dbranch = dropout mask * dh
struct ResidualNormBackward {
  Matrix dy;  // (N, C) A
  Matrix h;   // (N, C) float32: h_out of the forward pass
  Array<float> mean, rstd, weight;
  Matrix dh_out;    // (N, C) float32, optional (zero): gradient that h_out gets from above
  Matrix dh;        // (N, C) float32, may be dh_out or h: gradient of h_out, and so of h_in
  Matrix dbranch;   // (N, C) A, optional, may be dy
  Dropout dropout;  // of dbranch
  Array<float> dweight, dbias;

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.dy), visit(Use::reads, op.h), visit(Use::reads, op.mean), visit(Use::reads, op.rstd);
    visit(Use::reads, op.weight), visit(Use::reads, op.dh_out), visit(Use::writes, op.dh);
    visit(Use::writes, op.dbranch), visit(Use::changes, op.dweight), visit(Use::changes, op.dbias);
  }
};

// f(x) = x * sigmoid(1.702 x), Hendrycks and Gimpel's approximation of GELU (the paper, section 5.2).
enum class Activation : std::uint8_t { none, gelu_sigmoid };

// y = f(x W^T + bias).
struct Linear {
  Matrix x;           // (N, K) A
  Matrix w;           // (M, K) A, PyTorch's layout [out, in]
  Array<float> bias;  // (M), optional
  Activation activation = Activation::none;
  Matrix pre;  // (N, M) A, optional: x W^T + bias kept for the backward pass
  Matrix y;    // (N, M) A or float32

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.x), visit(Use::reads, op.w), visit(Use::reads, op.bias);
    visit(Use::writes, op.pre), visit(Use::writes, op.y);
  }
};
// dx = (dy W) * f'(pre).
struct LinearBackwardData {
  Matrix dy;   // (N, M) A
  Matrix w;    // (M, K) A
  Matrix pre;  // (N, K) A, optional: the input of the activation whose output x was
  Matrix dx;   // (N, K) A

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.dy), visit(Use::reads, op.w), visit(Use::reads, op.pre), visit(Use::writes, op.dx);
  }
};
// dw += dy^T x;  dbias += sum_n dy.
struct LinearBackwardWeights {
  Matrix dy;           // (N, M) A
  Matrix x;            // (N, K) A
  Matrix dw;           // (M, K) float32
  Array<float> dbias;  // (M), optional

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.dy), visit(Use::reads, op.x), visit(Use::changes, op.dw), visit(Use::changes, op.dbias);
  }
};

// Softmax attention over a pattern. Queries are those of positions first .. first + q.T - 1, keys and values those of
// 0 .. T - 1, with first + q.T <= T: a sequence may be read in pieces, each of which brings its own queries.
struct Attention {
  std::int64_t B = 0, T = 0, H = 0;
  const Tiling* const* tilings = nullptr;  // (H) each of length T; equal patterns share one; they outlive the program
  float scale = 1;                         // usually 1 / sqrt(Dq)
  Heads q;                                 // (B, q.T, H, Dq) A
  Heads k;                                 // (B, T, H, Dq) A
  Heads v;                                 // (B, T, H, Dv) A
  Heads out;                               // (B, q.T, H, Dv) A; 0 where a query reads no key
  Array<float> lse;        // (B, H, q.T) log sum exp of a query's scaled scores; -inf where it reads none
  std::int64_t first = 0;  // position of the first query

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.q), visit(Use::reads, op.k), visit(Use::reads, op.v);
    visit(Use::writes, op.out), visit(Use::writes, op.lse);
  }
};
// With P = exp(scale * q k^T - lse) and delta_i = sum_d out * dout:
//   dv = P^T dout;  dS = P * (dout v^T - delta);  dq = scale * dS k;  dk = scale * dS^T q
struct AttentionBackward {
  Attention forward;  // of whole sequences: first is 0 and q.T is T; out and lse are inputs
  Heads dout;         // (B, T, H, Dv) A
  Heads dq, dk;       // (B, T, H, Dq) A
  Heads dv;           // (B, T, H, Dv) A

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    Attention::operands(op.forward, [&](Use, auto& operand) { visit(Use::reads, operand); });
    visit(Use::reads, op.dout), visit(Use::writes, op.dq), visit(Use::writes, op.dk), visit(Use::writes, op.dv);
  }
};

// logits = x W^T; losses[n] = logsumexp(logits[n]) - logits[n, target], in nats. Rows in chunks: (N, V) never exists.
// With a gradient g = StepInputs::loss_gradient: dlogits = g * (softmax - onehot) of the scored rows; dx = dlogits W;
// dw += dlogits^T x.
struct VocabularyLoss {
  Matrix x;                     // (N, C) A
  Matrix w;                     // (V, C) A
  Array<std::int32_t> targets;  // (N); < 0: not scored, loss 0
  Array<float> losses;          // (N)
  Matrix dx;                    // (N, C) A, optional
  Matrix dw;                    // (V, C) float32, given together with dx

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.x), visit(Use::reads, op.w), visit(Use::reads, op.targets), visit(Use::writes, op.losses);
    visit(Use::writes, op.dx), visit(Use::changes, op.dw);
  }
};

// One query a row against a cache of keys and values (pattern/cache.h), all A; scores, softmax and sums are float32.
// Row r belongs to the sequence whose store is the sequence[r]-th; its head h keeps its slots in rows first_slot[h] ..
// of that store. With g = group[h] and e = r * G + g, row r's key and value go to the slots write[write_begin[e] ..
// write_end[e]), then its query reads read[read_begin[e] .. read_end[e]); of the slots it reads only the last may be
// one that it wrote. Rows of one sequence stand side by side, in ascending order of position: each reads what the rows
// before it wrote, and nothing of the rows after it.
struct DecodeAttention {
  std::int64_t H = 0, slots = 0;
  float scale = 1;
  Matrix q, k, v, out;              // (R, H * Dq), (R, H * Dq), (R, H * Dv), (R, H * Dv) A
  Matrix keys, values;              // (sequences * slots, Dq), (sequences * slots, Dv) A
  Array<std::int32_t> sequence;     // (R)
  Array<std::int64_t> first_slot;   // (H)
  std::int64_t groups = 0;          // G: heads of one pattern share slot lists
  Array<std::int32_t> group;        // (H)
  Array<std::int32_t> write, read;  // lists, which rows may share
  Array<std::int64_t> write_begin, write_end, read_begin, read_end;  // (R, G)

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.q), visit(Use::reads, op.k), visit(Use::reads, op.v), visit(Use::writes, op.out);
    visit(Use::changes, op.keys), visit(Use::changes, op.values), visit(Use::reads, op.sequence);
    visit(Use::reads, op.first_slot), visit(Use::reads, op.group), visit(Use::reads, op.write);
    visit(Use::reads, op.read), visit(Use::reads, op.write_begin), visit(Use::reads, op.write_end);
    visit(Use::reads, op.read_begin), visit(Use::reads, op.read_end);
  }
};

// Keys and values of one sequence between its store of a cache and the rows of a matrix: with g = group[h] and e in
// [begin[g], begin[g + 1]), head h's in row row[e] are those of slot slot[e], slots as in DecodeAttention. recall: from
// the store to the rows; else the other way.
struct CacheRows {
  bool recall = false;
  std::int64_t H = 0, slots = 0;
  Matrix k, v;                     // (rows, H * Dq), (rows, H * Dv) A
  Matrix keys, values;             // (sequences * slots, Dq), (sequences * slots, Dv) A
  Array<std::int32_t> sequence;    // (1)
  Array<std::int64_t> first_slot;  // (H)
  std::int64_t groups = 0;         // G
  Array<std::int32_t> group;       // (H)
  Array<std::int64_t> row;
  Array<std::int32_t> slot;
  Array<std::int64_t> begin;  // (G + 1)

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    const Use store = op.recall ? Use::reads : Use::changes, rows = op.recall ? Use::changes : Use::reads;
    visit(rows, op.k), visit(rows, op.v), visit(store, op.keys), visit(store, op.values);
    visit(Use::reads, op.sequence), visit(Use::reads, op.first_slot), visit(Use::reads, op.group);
    visit(Use::reads, op.row), visit(Use::reads, op.slot), visit(Use::reads, op.begin);
  }
};

// What a caller of run() is told of. What it then asks of the backend comes behind all operations before the mark and
// before any after it.
struct Mark {
  enum class What : std::uint8_t {
    attended,        // a block's attention: what it read and wrote may be looked at
    gradient_final,  // no later operation changes the gradients in [begin, end)
  };
  What what = What::attended;
  std::int64_t block = 0;           // of the network; gradient_final: its number in the order in which they come
  std::int64_t begin = 0, end = 0;  // gradient_final: elements of the parameters' store

  template <class Self, class Visit>
  static void operands(Self&, Visit&&) {}
};

using Operation = std::variant<Embed, EmbedBackward, ResidualNorm, ResidualNormBackward, Linear, LinearBackwardData,
                               LinearBackwardWeights, Attention, AttentionBackward, VocabularyLoss, SumBits, Sum,
                               SquareSums, GradientNorm, AdamW, PackRows, SumRows, PutRows, Zero, Round, Exchange,
                               DecodeAttention, CacheRows, Mark>;

// Calls visit(use, operand) for every operand of the operation, absent ones included.
template <class AnyOperation, class Visit>
void each_operand(AnyOperation& operation, Visit&& visit) {
  std::visit([&](auto& op) { std::decay_t<decltype(op)>::operands(op, visit); }, operation);
}

const char* name_of(const Operation& operation);  // "residual_norm"

// Why rows of these heads lie upon one another, a sentence about `name`; empty where they do not.
std::string overlap_of(const char* name, const Heads& x);

// Throws Error(invalid_argument) with the operation's name where shapes or types do not fit. Looks at no address.
void check(const Operation& operation);

}  // namespace longstride
