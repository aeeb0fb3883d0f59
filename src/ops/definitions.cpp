// This computes every operation except attention by its formula, in double.
#include "ops/definitions.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/philox.h"

namespace longstride::definitions {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
Values zeros(std::int64_t count) { return Values(index(count)); }
template <class List>
int count_of(const List& list) {
  return static_cast<int>(list.size());
}

double at(const Matrix& m, std::int64_t r, std::int64_t c) {
  const std::int64_t i = r * m.stride + c;
  return m.type == DType::float32 ? m.f32()[i] : float_from_bfloat16(m.bf16()[i]);
}

// The row of position embedding j that row r of the output adds: index_j(p - 1), p the row's position.
std::int64_t position_index(const Embed& op, int j, std::int64_t r) {
  const std::int64_t p = op.at ? op.at[r] : r % op.T;
  const Embed::Positions& positions = op.positions[index(j)];
  return (p - 1) / positions.divisor % positions.extent;
}

struct Statistics {
  double mean = 0, rstd = 0;
};
Statistics statistics(const double* h, std::int64_t C, double eps) {
  double mean = 0, variance = 0;
  for (std::int64_t c = 0; c < C; ++c) mean += h[c] / static_cast<double>(C);
  for (std::int64_t c = 0; c < C; ++c) variance += (h[c] - mean) * (h[c] - mean) / static_cast<double>(C);
  return {mean, 1 / std::sqrt(variance + eps)};
}

}  // namespace

Values values_of(const Matrix& m) {
  Values values;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t c = 0; c < m.cols; ++c) values.push_back(at(m, r, c));
  }
  return values;
}

double activate(Activation f, double x) { return f == Activation::none ? x : x / (1 + std::exp(-1.702 * x)); }

double activate_slope(Activation f, double x) {
  if (f == Activation::none) return 1;
  const double s = 1 / (1 + std::exp(-1.702 * x));
  return s * (1 + 1.702 * x * (1 - s));
}

double dropout_scale(const Dropout& dropout, std::int64_t step, std::int64_t e) {
  if (dropout.rate == 0) return 1;
  const PhiloxBlock counter = {static_cast<std::uint32_t>(e / 4), static_cast<std::uint32_t>(dropout.site),
                               static_cast<std::uint32_t>(dropout.layer), static_cast<std::uint32_t>(step)};
  const std::uint32_t word = philox(counter, philox_key(dropout.seed, Purpose::dropout))[index(e % 4)];
  return uniform_float(word) >= dropout.rate ? 1 / (1 - static_cast<double>(dropout.rate)) : 0;
}

Values embed(const Embed& op) {
  const std::int64_t N = op.B * op.T, C = op.out.cols;
  Values out;
  for (std::int64_t r = 0; r < N; ++r) {
    const std::int32_t* before = op.token_before(r);
    const std::int64_t token = *before;
    for (std::int64_t c = 0; c < C; ++c) {
      double sum = token < 0 ? op.start[c] : op.token[token * C + c];
      for (int j = 0; j < count_of(op.positions) && token >= 0; ++j)
        sum += op.positions[index(j)].table[position_index(op, j, r) * C + c];
      for (int g = 0; g < count_of(op.hash); ++g) {
        const std::int64_t row = op.hash_rows[g * N + r];
        if (row >= 0) sum += op.hash[index(g)][row * C + c];
      }
      for (std::int64_t k = 1; k <= op.taps_of(r); ++k) {
        if (before[-k] >= 0) sum += static_cast<double>(op.kernel[(k - 1) * C + c]) * op.token[before[-k] * C + c];
      }
      out.push_back(sum);
    }
  }
  return out;
}

EmbedGradients embed_backward(const EmbedBackward& op) {
  const Embed& forward = op.forward;
  const std::int64_t N = forward.B * forward.T, C = op.dout.cols;
  EmbedGradients d{zeros(C), zeros(forward.V * C), {}, {}, zeros(forward.taps * C)};
  for (const Embed::Positions& positions : forward.positions) d.position.push_back(zeros(positions.extent * C));
  for (int g = 0; g < count_of(forward.hash); ++g) d.hash.push_back(zeros(forward.buckets * C));
  for (std::int64_t r = 0; r < N; ++r) {
    const std::int32_t* before = forward.token_before(r);
    const std::int64_t token = *before;
    for (std::int64_t c = 0; c < C; ++c) {
      const double dout = at(op.dout, r, c);
      (token < 0 ? d.start[index(c)] : d.token[index(token * C + c)]) += dout;
      for (int j = 0; j < count_of(forward.positions) && token >= 0; ++j)
        d.position[index(j)][index(position_index(forward, j, r) * C + c)] += dout;
      for (int g = 0; g < count_of(forward.hash); ++g) {
        const std::int64_t row = forward.hash_rows[g * N + r];
        if (row >= 0) d.hash[index(g)][index(row * C + c)] += dout;
      }
      for (std::int64_t k = 1; k <= forward.taps_of(r); ++k) {
        if (before[-k] < 0) continue;
        const std::int64_t of_kernel = (k - 1) * C + c, of_token = before[-k] * C + c;
        d.kernel[index(of_kernel)] += dout * forward.token[of_token];
        d.token[index(of_token)] += dout * forward.kernel[of_kernel];
      }
    }
  }
  return d;
}

ResidualNormValues residual_norm(const ResidualNorm& op, const StepInputs& inputs) {
  const std::int64_t N = op.h_in.rows, C = op.h_in.cols;
  ResidualNormValues out{values_of(op.h_in), {}, {}, {}};
  for (std::int64_t r = 0; r < N; ++r) {
    double* h = out.h_out.data() + r * C;
    for (std::int64_t c = 0; c < C && op.branch; ++c)
      h[c] += dropout_scale(op.dropout, inputs.dropout_step, (op.dropout.first_row + r) * C + c) * at(op.branch, r, c);
    const auto [mean, rstd] = statistics(h, C, op.eps);
    out.mean.push_back(mean);
    out.rstd.push_back(rstd);
    for (std::int64_t c = 0; c < C; ++c) out.y.push_back((h[c] - mean) * rstd * op.weight[c] + op.bias[c]);
  }
  return out;
}

// With xhat = (h - mean) * rstd, g = dy * weight, and mean_c the mean over channels:
//   dh = dh_out + rstd * (g - mean_c(g) - xhat * mean_c(g * xhat));  dweight = sum_n dy * xhat;  dbias = sum_n dy
//   dbranch = dropout mask * dh
ResidualNormGradients residual_norm_backward(const ResidualNormBackward& op, double eps, const StepInputs& inputs) {
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  const Values h = values_of(op.h);
  ResidualNormGradients d{zeros(N * C), zeros(N * C), zeros(C), zeros(C)};
  for (std::int64_t r = 0; r < N; ++r) {
    const auto [mean, rstd] = statistics(h.data() + r * C, C, eps);
    double g_mean = 0, gx_mean = 0;
    for (std::int64_t c = 0; c < C; ++c) {
      const double xhat = (h[index(r * C + c)] - mean) * rstd, dy = at(op.dy, r, c);
      g_mean += dy * op.weight[c] / static_cast<double>(C);
      gx_mean += dy * op.weight[c] * xhat / static_cast<double>(C);
      d.dweight[index(c)] += dy * xhat;
      d.dbias[index(c)] += dy;
    }
    for (std::int64_t c = 0; c < C; ++c) {
      const double xhat = (h[index(r * C + c)] - mean) * rstd, g = at(op.dy, r, c) * op.weight[c];
      const double dh = (op.dh_out ? at(op.dh_out, r, c) : 0) + rstd * (g - g_mean - xhat * gx_mean);
      d.dh[index(r * C + c)] = dh;
      d.dbranch[index(r * C + c)] =
          dropout_scale(op.dropout, inputs.dropout_step, (op.dropout.first_row + r) * C + c) * dh;
    }
  }
  return d;
}

LinearValues linear(const Linear& op) {
  LinearValues out;
  for (std::int64_t n = 0; n < op.x.rows; ++n) {
    for (std::int64_t m = 0; m < op.w.rows; ++m) {
      double sum = op.bias ? op.bias[m] : 0;
      for (std::int64_t k = 0; k < op.w.cols; ++k) sum += at(op.x, n, k) * at(op.w, m, k);
      out.pre.push_back(sum);
      out.y.push_back(activate(op.activation, sum));
    }
  }
  return out;
}

// dx = (dy W) * f'(pre)
Values linear_backward_data(const LinearBackwardData& op) {
  Values dx;
  for (std::int64_t n = 0; n < op.dy.rows; ++n) {
    for (std::int64_t k = 0; k < op.w.cols; ++k) {
      double sum = 0;
      for (std::int64_t m = 0; m < op.w.rows; ++m) sum += at(op.dy, n, m) * at(op.w, m, k);
      dx.push_back(op.pre ? sum * activate_slope(Activation::gelu_sigmoid, at(op.pre, n, k)) : sum);
    }
  }
  return dx;
}

// dw = dy^T x;  dbias = sum_n dy
LinearGradients linear_backward_weights(const LinearBackwardWeights& op) {
  const std::int64_t M = op.dy.cols, K = op.x.cols;
  LinearGradients d{zeros(M * K), zeros(M)};
  for (std::int64_t n = 0; n < op.dy.rows; ++n) {
    for (std::int64_t m = 0; m < M; ++m) {
      d.dbias[index(m)] += at(op.dy, n, m);
      for (std::int64_t k = 0; k < K; ++k) d.dw[index(m * K + k)] += at(op.dy, n, m) * at(op.x, n, k);
    }
  }
  return d;
}

// loss_n = log sum_v exp(logits_v) - logits_target;  dlogits = gradient * (softmax - onehot);  dx = dlogits W;
// dw = dlogits^T x
VocabularyLossValues vocabulary_loss(const VocabularyLoss& op, const StepInputs& inputs) {
  const std::int64_t V = op.w.rows, C = op.w.cols;
  VocabularyLossValues out{zeros(op.x.rows), zeros(op.x.rows * C), zeros(V * C)};
  for (std::int64_t n = 0; n < op.x.rows; ++n) {
    if (op.targets[n] < 0) continue;
    Values logits = zeros(V);
    double largest = -INFINITY, sum = 0;
    for (std::int64_t v = 0; v < V; ++v) {
      for (std::int64_t c = 0; c < C; ++c) logits[index(v)] += at(op.x, n, c) * at(op.w, v, c);
      largest = std::fmax(largest, logits[index(v)]);
    }
    for (const double x : logits) sum += std::exp(x - largest);
    const double lse = largest + std::log(sum);
    out.losses[index(n)] = lse - logits[index(op.targets[n])];
    for (std::int64_t v = 0; v < V; ++v) {
      const double d = inputs.loss_gradient * (std::exp(logits[index(v)] - lse) - (v == op.targets[n] ? 1 : 0));
      for (std::int64_t c = 0; c < C; ++c) {
        out.dx[index(n * C + c)] += d * at(op.w, v, c);
        out.dw[index(v * C + c)] += d * at(op.x, n, c);
      }
    }
  }
  return out;
}

//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2, g = scale * dw
//   w -= rate * (m / correction1 / (sqrt(v / correction2) + epsilon) + decay * w)
//   ema = ema_decay * ema + (1 - ema_decay) * w;  a row without gradient keeps w, m and v;  without a scale all stays
AdamWValues adamw(const AdamW& op, const StepInputs& inputs) {
  AdamWValues out;
  const double beta1 = op.beta1, beta2 = op.beta2, ema_decay = op.ema_decay, scale = op.scale[0];
  const bool skipped = !std::isfinite(scale);
  for (std::int64_t i = 0; i < op.w.count; ++i) {
    const float* row = op.row == 0 ? nullptr : op.dw.data + i / op.row * op.row;
    const bool kept = skipped || (row != nullptr && std::all_of(row, row + op.row, [](float x) { return x == 0; }));
    const double g = scale * op.dw[i];
    const double m = kept ? op.m[i] : beta1 * op.m[i] + (1 - beta1) * g;
    const double v = kept ? op.v[i] : beta2 * op.v[i] + (1 - beta2) * g * g;
    const double step = m / inputs.correction1 / (std::sqrt(v / inputs.correction2) + op.epsilon);
    const double w = kept ? op.w[i] : op.w[i] - inputs.rate * (step + static_cast<double>(op.decay) * op.w[i]);
    out.w.push_back(w);
    out.m.push_back(m);
    out.v.push_back(v);
    if (op.ema) out.ema.push_back(skipped ? op.ema[i] : ema_decay * op.ema[i] + (1 - ema_decay) * w);
  }
  return out;
}

// bits = sum_n losses_n / ln 2
double sum_bits(const SumBits& op) {
  double sum = 0;
  for (std::int64_t n = 0; n < op.losses.count; ++n) sum += op.losses[n] / std::numbers::ln2;
  return sum;
}

// out_i = a_i + b_i
Values sum(const Sum& op) {
  Values out;
  for (std::int64_t i = 0; i < op.a.count; ++i) out.push_back(static_cast<double>(op.a[i]) + op.b[i]);
  return out;
}

// sums_c = sum of x_i^2 over the i of chunk c
Values square_sums(const SquareSums& op) {
  Values sums(static_cast<std::size_t>(op.sums.count));
  for (std::int64_t i = 0; i < op.x.count; ++i)
    sums[static_cast<std::size_t>(i / kSquareSumsChunk)] += static_cast<double>(op.x[i]) * op.x[i];
  return sums;
}

// norm = sqrt(sum of squares);  scale = min(1, clip / norm) where clip > 0; NaN where norm or bits is not finite
GradientNormValues gradient_norm(const GradientNorm& op) {
  double sum = 0;
  for (std::int64_t i = 0; i < op.squares.count; ++i) sum += op.squares[i];
  const double norm = std::sqrt(sum);
  const bool finite = std::isfinite(norm) && (!op.bits || std::isfinite(op.bits[0]));
  return {norm, !finite ? NAN : op.clip > 0 && norm > op.clip ? op.clip / norm : 1};
}

}  // namespace longstride::definitions
