// What every operation of ops.h means, in double and as plainly as it can be written: loops over the formula, no order
// of evaluation worth knowing. Tests and `doctor` hold backends against these. Operations are given as to a backend,
// but bound, in host memory; outputs that they name are not written and may be absent, results come back instead, dense
// and row-major. Inputs of either number format are taken as they are: what a bfloat16 holds is exact in double.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace longstride::definitions {

using Values = std::vector<double>;

// A matrix as doubles, dense (rows, cols).
Values values_of(const Matrix& m);

double activate(Activation f, double x);
double activate_slope(Activation f, double x);
// 0 or 1 / (1 - rate): what dropout multiplies element e by. From philox itself.
double dropout_scale(const Dropout& dropout, std::int64_t step, std::int64_t e);

Values embed(const Embed& op);  // (N, C)
struct EmbedGradients {
  Values start, token;           // (C), (V, C)
  std::vector<Values> position;  // J of (extent, C)
  std::vector<Values> hash;      // G of (buckets, C)
  Values kernel;                 // (K, C)
};
EmbedGradients embed_backward(const EmbedBackward& op);

struct ResidualNormValues {
  Values h_out, y, mean, rstd;
};
ResidualNormValues residual_norm(const ResidualNorm& op, const StepInputs& inputs = {});
// The statistics are computed from h and eps, not taken from the operation.
struct ResidualNormGradients {
  Values dh, dbranch, dweight, dbias;  // dbranch also where the operation has none
};
ResidualNormGradients residual_norm_backward(const ResidualNormBackward& op, double eps, const StepInputs& inputs = {});

struct LinearValues {
  Values pre, y;
};
LinearValues linear(const Linear& op);
Values linear_backward_data(const LinearBackwardData& op);
struct LinearGradients {
  Values dw, dbias;  // what is added to dw and dbias
};
LinearGradients linear_backward_weights(const LinearBackwardWeights& op);

struct AttentionValues {
  Values out, lse;  // (N, H * Dv), (B, H, T)
};
AttentionValues attention(const Attention& op);
// The forward pass is computed again, not taken from the operation.
struct AttentionGradients {
  Values dq, dk, dv;
};
AttentionGradients attention_backward(const AttentionBackward& op);
// Keys and values of the cache are not written: reads of slots that this step writes take the new key and value.
Values decode_attention(const DecodeAttention& op);
struct CacheRowsValues {
  Values k, v, keys, values;  // all of them, the elements that are not copied included
};
CacheRowsValues cache_rows(const CacheRows& op);

struct VocabularyLossValues {
  Values losses;  // (N)
  Values dx, dw;  // what dx is and what is added to dw
};
VocabularyLossValues vocabulary_loss(const VocabularyLoss& op, const StepInputs& inputs = {});

struct AdamWValues {
  Values w, m, v, ema;
};
AdamWValues adamw(const AdamW& op, const StepInputs& inputs);

struct RowListValues {
  double count = 0;
  Values rows, values;  // those that there is room for
};
RowListValues pack_rows(const PackRows& op);
Values sum_rows(const SumRows& op);  // own, whole
Values put_rows(const PutRows& op);  // to, whole

double sum_bits(const SumBits& op);  // what is added
Values sum(const Sum& op);
Values square_sums(const SquareSums& op);
struct GradientNormValues {
  double norm, scale;
};
GradientNormValues gradient_norm(const GradientNorm& op);

}  // namespace longstride::definitions
