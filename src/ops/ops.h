// The vocabulary of computation: one struct an operation, and one function that checks its shapes, once, and hands it
// to a backend. B batch, T tokens, N = B * T rows, C width, H heads, D channels a head, V vocabulary.
//
// Matrices named with a type A hold activations: float32 or bfloat16, the same within one operation. Sums, statistics
// and softmax are float32 in either. Gradients of parameters are float32 and added to what is there (+=); every other
// output is overwritten. What is said to be optional is left without data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <variant>

#include "ops/tensor.h"
#include "pattern/tiles.h"

namespace longstride {

class Backend;

inline constexpr int kMaxPositionEmbeddings = 4;
inline constexpr int kMaxHashEmbeddings = 8;

// Inverted dropout as a function of (seed, step, layer, site, element): element (first_row + r) * C + c is kept, and
// scaled by 1 / (1 - rate), where uniform_float of its philox word >= rate. Word: philox({e / 4, site, layer, step},
// philox_key(seed, dropout))[e % 4]. Ours.
struct Dropout {
  float rate = 0;  // [0, 1); 0: off
  std::int64_t seed = 0;
  std::int64_t step = 0;  // micro step: differs for every forward pass of training
  std::int32_t layer = 0;
  std::int32_t site = 0;       // 0 attention, 1 feedforward
  std::int64_t first_row = 0;  // element 0 of the operation's row r is first_row + r's: for rows that are part of more
};

// out = embedding of the token before + position embeddings of the position before (docs/model.md, section 2).
// Row (b, t), position p = first + t: start where tokens[b, t] < 0, else
// token[tokens[b, t]] + sum_j position[j][index_j(p - 1)],
// index_j(q) = (q / divisor[j]) mod extent[j]. Row n then adds hash[g][hash_rows[g * N + n]] for every g, where that is
// not below 0 (model/hashes.h says which), and sum_k kernel[k - 1] * token[y_k] element by element, k = 1..taps, y_k
// the token k places before tokens[b, t], where there is one: a causal depthwise convolution of the token embeddings.
struct Embed {
  std::int64_t B = 0, T = 0, V = 0;
  std::int64_t first = 0;
  const std::int32_t* tokens = nullptr;  // (B, T) the token before each position; < 0: none, at a sequence's start
  std::int64_t tokens_stride = 0;        // from one sequence's tokens to the next one's; 0: T
  std::int64_t history = 0;              // tokens that stand before each sequence's first one
  const float* start = nullptr;          // (C)
  const float* token = nullptr;          // (V, C)
  int positions = 0;                     // J, at most kMaxPositionEmbeddings
  const float* position[kMaxPositionEmbeddings] = {};  // (extent, C)
  std::int64_t extent[kMaxPositionEmbeddings] = {};
  std::int64_t divisor[kMaxPositionEmbeddings] = {};
  int hashes = 0;  // G, at most kMaxHashEmbeddings
  std::int64_t buckets = 0;
  const float* hash[kMaxHashEmbeddings] = {};  // (buckets, C)
  const std::int32_t* hash_rows = nullptr;     // (G, N) in [0, buckets); < 0: none
  std::int64_t taps = 0;                       // K
  const float* kernel = nullptr;               // (K, C)
  Matrix out;                                  // (N, C) float32

  const std::int32_t* token_before(std::int64_t row) const {
    return tokens + row / T * (tokens_stride == 0 ? T : tokens_stride) + row % T;
  }
  // Of the tokens that stand before token_before(row), how many the convolution looks at.
  std::int64_t taps_of(std::int64_t row) const { return std::min(taps, row % T + history); }
};
struct EmbedBackward {
  Embed forward;  // out unused
  Matrix dout;    // (N, C) float32
  float* dstart = nullptr;
  float* dtoken = nullptr;
  float* dposition[kMaxPositionEmbeddings] = {};
  float* dhash[kMaxHashEmbeddings] = {};
  float* dkernel = nullptr;
};

// h_out = h_in + dropout(branch);  y = (h_out - mean) * rstd * weight + bias, per row. Two passes for the variance.
struct ResidualNorm {
  Matrix h_in;    // (N, C) float32
  Matrix branch;  // (N, C) A, optional: without it h_out = h_in
  Dropout dropout;
  Matrix h_out;                   // (N, C) float32, may be h_in; optional without branch
  const float* weight = nullptr;  // (C)
  const float* bias = nullptr;    // (C)
  float eps = 0;
  Matrix y;               // (N, C) A
  float* mean = nullptr;  // (N)
  float* rstd = nullptr;  // (N) 1 / sqrt(variance + eps)
};
// With xhat = (h - mean) * rstd, g = dy * weight, and mean_c the mean over channels:
//   dh     = dh_out + rstd * (g - mean_c(g) - xhat * mean_c(g * xhat));  dweight += sum_n dy * xhat;  dbias += sum_n dy
//   dbranch = dropout mask * dh
struct ResidualNormBackward {
  Matrix dy;  // (N, C) A
  Matrix h;   // (N, C) float32: h_out of the forward pass
  const float* mean = nullptr;
  const float* rstd = nullptr;
  const float* weight = nullptr;
  Matrix dh_out;    // (N, C) float32, optional (zero): gradient that h_out gets from above
  Matrix dh;        // (N, C) float32, may be dh_out or h: gradient of h_out, and so of h_in
  Matrix dbranch;   // (N, C) A, optional, may be dy
  Dropout dropout;  // of dbranch
  float* dweight = nullptr;
  float* dbias = nullptr;
};

// f(x) = x * sigmoid(1.702 x), Hendrycks and Gimpel's approximation of GELU (the paper, section 5.2).
enum class Activation : std::uint8_t { none, gelu_sigmoid };

// y = f(x W^T + bias).
struct Linear {
  Matrix x;                     // (N, K) A
  Matrix w;                     // (M, K) A, PyTorch's layout [out, in]
  const float* bias = nullptr;  // (M), optional
  Activation activation = Activation::none;
  Matrix pre;  // (N, M) A, optional: x W^T + bias kept for the backward pass
  Matrix y;    // (N, M) A or float32
};
// dx = (dy W) * f'(pre).
struct LinearBackwardData {
  Matrix dy;   // (N, M) A
  Matrix w;    // (M, K) A
  Matrix pre;  // (N, K) A, optional: the input of the activation whose output x was
  Matrix dx;   // (N, K) A
};
// dw += dy^T x;  dbias += sum_n dy.
struct LinearBackwardWeights {
  Matrix dy;               // (N, M) A
  Matrix x;                // (N, K) A
  Matrix dw;               // (M, K) float32
  float* dbias = nullptr;  // (M), optional
};

// Softmax attention over a pattern. Rows (b, t) of q, k, v and out are strided, so that the three may be columns of one
// matrix; head h has columns h * D .. h * D + D - 1.
struct Attention {
  std::int64_t B = 0, T = 0, H = 0;
  const Tiling* const* tilings = nullptr;  // (H) each of length T; equal patterns share one
  float scale = 1;                         // usually 1 / sqrt(Dq)
  Matrix q;                                // (N, H * Dq) A
  Matrix k;                                // (N, H * Dq) A
  Matrix v;                                // (N, H * Dv) A
  Matrix out;                              // (N, H * Dv) A; 0 where a query reads no key
  float* lse = nullptr;                    // (B, H, T) log sum exp of a query's scaled scores; -inf where it reads none
};
// With P = exp(scale * q k^T - lse) and delta_i = sum_d out * dout:
//   dv = P^T dout;  dS = P * (dout v^T - delta);  dq = scale * dS k;  dk = scale * dS^T q
struct AttentionBackward {
  Attention forward;  // out and lse are inputs
  Matrix dout;        // (N, H * Dv) A
  Matrix dq, dk;      // (N, H * Dq) A; may be columns of one matrix
  Matrix dv;          // (N, H * Dv) A
};

// logits = x W^T; losses[n] = logsumexp(logits[n]) - logits[n, target], in nats. Rows in chunks: (N, V) never exists.
// With a gradient: dlogits = gradient * (softmax - onehot) of the scored rows; dx = dlogits W; dw += dlogits^T x.
struct VocabularyLoss {
  Matrix x;                               // (N, C) A
  Matrix w;                               // (V, C) A
  const std::int32_t* targets = nullptr;  // (N); < 0: not scored, loss 0
  float* losses = nullptr;                // (N)
  float gradient = 0;                     // of the sum of losses; used where dx is given
  Matrix dx;                              // (N, C) A, optional
  Matrix dw;                              // (V, C) float32, given together with dx
};

// AdamW (Loshchilov and Hutter 2019), one pass: with g = gradient_scale * dw
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w -= rate * (m / correction1 / (sqrt(v / correction2) + epsilon) + decay * w)
//   ema = ema_decay * ema + (1 - ema_decay) * w
// With row > 0 what is moved are rows of so many elements, and a row whose dw is 0 throughout keeps w, m and v.
struct AdamW {
  std::int64_t count = 0;
  float* w = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  const float* dw = nullptr;
  float* ema = nullptr;           // optional
  std::uint16_t* copy = nullptr;  // optional: w in bfloat16
  float gradient_scale = 1, rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, decay = 0, ema_decay = 0;
  float correction1 = 1, correction2 = 1;  // 1 - beta^t
  std::int64_t row = 0;                    // 0, or a divisor of count
};

// One token of B sequences against a cache of keys and values (pattern/cache.h), all A; scores, softmax and sums are
// float32. Sequence b's head h keeps its slots in rows first_slot[h] .. of sequence b's store of `slots` rows. The new
// key and value go to the slots write[write_begin[group[h]] .. write_begin[group[h] + 1]), then the query reads
// read[...] likewise; of the slots it reads only the last may be one of those.
struct DecodeAttention {
  std::int64_t B = 0, H = 0, slots = 0;
  float scale = 1;
  Matrix q, k, v, out;                       // (B, H * Dq), (B, H * Dq), (B, H * Dv), (B, H * Dv) A
  void* keys = nullptr;                      // (B, slots, Dq) A
  void* values = nullptr;                    // (B, slots, Dv) A
  const std::int64_t* first_slot = nullptr;  // (H)
  std::int64_t groups = 0;                   // G: heads of one pattern share slot lists
  const std::int32_t* group = nullptr;       // (H)
  const std::int32_t* write = nullptr;
  const std::int64_t* write_begin = nullptr;  // (G + 1)
  const std::int32_t* read = nullptr;
  const std::int64_t* read_begin = nullptr;  // (G + 1)
};

// Keys and values of T positions of one sequence into its store of a cache: head h's, with g = group[h], of position[e]
// to slot[e], e in [begin[g], begin[g + 1]). Slots as in DecodeAttention.
struct StoreKeysValues {
  std::int64_t H = 0, slots = 0;
  Matrix k, v;                               // (T, H * Dq), (T, H * Dv) A
  void* keys = nullptr;                      // (slots, Dq) A
  void* values = nullptr;                    // (slots, Dv) A
  const std::int64_t* first_slot = nullptr;  // (H)
  std::int64_t groups = 0;                   // G
  const std::int32_t* group = nullptr;       // (H)
  const std::int64_t* position = nullptr;    // in [0, T)
  const std::int32_t* slot = nullptr;
  const std::int64_t* begin = nullptr;  // (G + 1)
};

// What a token of decoding is made of, as a list: see Backend::run.
using Operation = std::variant<Embed, ResidualNorm, Linear, DecodeAttention>;

// Each throws Error(invalid_argument) with the operation's name where shapes or types do not fit.
void embed(Backend&, const Embed&);
void embed_backward(Backend&, const EmbedBackward&);
void residual_norm(Backend&, const ResidualNorm&);
void residual_norm_backward(Backend&, const ResidualNormBackward&);
void linear(Backend&, const Linear&);
void linear_backward_data(Backend&, const LinearBackwardData&);
void linear_backward_weights(Backend&, const LinearBackwardWeights&);
void attention(Backend&, const Attention&);
void attention_backward(Backend&, const AttentionBackward&);
void vocabulary_loss(Backend&, const VocabularyLoss&);
void adamw(Backend&, const AdamW&);
void decode_attention(Backend&, const DecodeAttention&);
void store_keys_values(Backend&, const StoreKeysValues&);
void run(Backend&, std::span<const Operation> program);

}  // namespace longstride
