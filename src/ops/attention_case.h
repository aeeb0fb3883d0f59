// This computes attention by its definition, in double, with bounds of what rounding may do to it: for tests and for
// `doctor`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "longstride/pattern.h"
#include "ops/tensor.h"

namespace longstride {

// Numbers of one attention: exact in bfloat16, so that both types compute the same thing. Layouts (B, H, T, D).
struct AttentionCase {
  std::int64_t B, T, H, Dq, Dv;
  std::vector<Pattern> patterns;  // (H)
  double scale;
  std::vector<double> q, k, v, dout;

  std::int64_t row(std::int64_t b, std::int64_t h, std::int64_t t) const { return (b * H + h) * T + t; }
};

// heads: texts of patterns, cycled over the heads. magnitude: standard deviation of q and k.
inline AttentionCase attention_case(const std::vector<std::string>& heads, std::int64_t B, std::int64_t T,
                                    std::int64_t H, std::int64_t Dq, std::int64_t Dv, double magnitude = 1) {
  AttentionCase c{B, T, H, Dq, Dv, {}, 1 / std::sqrt(static_cast<double>(Dq)), {}, {}, {}, {}};
  for (std::int64_t h = 0; h < H; ++h) c.patterns.push_back(for_head(parse_pattern(heads[h % heads.size()]), h));
  std::mt19937_64 random(static_cast<std::uint64_t>(T * 1000003 + Dq * 1009 + Dv));
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<double>& x, std::int64_t D, double by) {
    x.resize(static_cast<std::size_t>(B * H * T * D));
    for (double& e : x) e = float_from_bfloat16(bfloat16_from_float(static_cast<float>(normal(random) * by)));
  };
  fill(c.q, Dq, magnitude);
  fill(c.k, Dq, magnitude);
  fill(c.v, Dv, 1);
  fill(c.dout, Dv, 1);
  c.scale = static_cast<float>(c.scale);
  return c;
}

struct AttentionResult {
  std::vector<double> out, lse, dq, dk, dv;
};

// What rounding is allowed, relative: of an operand of a product, of a power of two, of one float32 operation.
struct Rounding {
  double operand, power, step;
  explicit Rounding(DType type)
      : operand(type == DType::bfloat16 ? std::ldexp(1.005, -8) : 0),
        power(type == DType::bfloat16 ? 5e-6 : 4e-7),
        step(std::ldexp(1.0, -24)) {}
};

namespace attention_definition {

inline double dot(const double* a, const double* b, std::int64_t n, double& absolute) {
  double sum = 0;
  absolute = 0;
  for (std::int64_t d = 0; d < n; ++d) sum += a[d] * b[d], absolute += std::abs(a[d] * b[d]);
  return sum;
}

struct Query {
  std::vector<std::int64_t> keys;
  std::vector<double> p;
  double weight_error = 0;  // relative, of p
};

// Softmax over the keys that query i of one head reads; out, lse and their bounds.
inline Query forward_query(const AttentionCase& c, const Rounding& r, std::int64_t b, std::int64_t h, std::int64_t i,
                           AttentionResult& result, AttentionResult& bound) {
  Query query;
  const std::int64_t row = c.row(b, h, i);
  double largest = -INFINITY, error = 0;
  for (std::int64_t j = 0; j <= i; ++j) {
    if (!attends(c.patterns[h], i, j)) continue;
    double absolute;
    const double score = c.scale * dot(&c.q[row * c.Dq], &c.k[c.row(b, h, j) * c.Dq], c.Dq, absolute);
    query.keys.push_back(j);
    query.p.push_back(score);
    largest = std::max(largest, score);
    error = std::max(error, (c.Dq + 8) * r.step * c.scale * absolute + r.power);
  }
  double sum = 0;
  for (const double score : query.p) sum += std::exp(score - largest);
  const double lse = query.keys.empty() ? -INFINITY : largest + std::log(sum);
  for (double& score : query.p) score = std::exp(score - lse);
  const double n = static_cast<double>(query.keys.size());
  result.lse[row] = lse;
  bound.lse[row] = query.keys.empty() ? 0 : 2 * error + (n + 8) * r.step + 8 * r.step * std::abs(lse);
  query.weight_error = 2 * error + bound.lse[row];
  for (std::int64_t d = 0; d < c.Dv; ++d) {
    double out = 0, absolute = 0;
    for (std::size_t t = 0; t < query.keys.size(); ++t) {
      const double x = query.p[t] * c.v[c.row(b, h, query.keys[t]) * c.Dv + d];
      out += x, absolute += std::abs(x);
    }
    result.out[row * c.Dv + d] = out;
    bound.out[row * c.Dv + d] =
        (r.operand + query.weight_error + (n + 8) * r.step) * absolute + r.operand * std::abs(out);
  }
  return query;
}

inline void backward_query(const AttentionCase& c, const Rounding& r, std::int64_t b, std::int64_t h, std::int64_t i,
                           const Query& query, AttentionResult& result, AttentionResult& bound) {
  const std::int64_t row = c.row(b, h, i);
  const double *dout = &c.dout[row * c.Dv], n = static_cast<double>(c.T) + 8;
  double absolute, delta_error = 0;
  const double delta = dot(&result.out[row * c.Dv], dout, c.Dv, absolute);
  for (std::int64_t d = 0; d < c.Dv; ++d)
    delta_error += std::abs(dout[d]) * bound.out[row * c.Dv + d] + c.Dv * r.step * absolute;
  for (std::size_t t = 0; t < query.keys.size(); ++t) {
    const std::int64_t key = c.row(b, h, query.keys[t]);
    const double p = query.p[t], dp = dot(&c.v[key * c.Dv], dout, c.Dv, absolute), ds = p * (dp - delta);
    const double ds_error = (r.operand + query.weight_error + n * r.step) * std::abs(ds) +
                            p * (delta_error + (c.Dv + 4) * r.step * (absolute + std::abs(delta)));
    for (std::int64_t d = 0; d < c.Dv; ++d) {
      result.dv[key * c.Dv + d] += p * dout[d];
      bound.dv[key * c.Dv + d] += (r.operand + query.weight_error + n * r.step) * p * std::abs(dout[d]);
    }
    for (std::int64_t d = 0; d < c.Dq; ++d) {
      const double k = c.k[key * c.Dq + d], q = c.q[row * c.Dq + d];
      result.dq[row * c.Dq + d] += c.scale * ds * k;
      bound.dq[row * c.Dq + d] += c.scale * ds_error * std::abs(k);
      result.dk[key * c.Dq + d] += c.scale * ds * q;
      bound.dk[key * c.Dq + d] += c.scale * ds_error * std::abs(q);
    }
  }
}

inline AttentionResult zeros(const AttentionCase& c) {
  const auto rows = static_cast<std::size_t>(c.B * c.H * c.T), Dq = static_cast<std::size_t>(c.Dq),
             Dv = static_cast<std::size_t>(c.Dv);
  AttentionResult r;
  r.out.resize(rows * Dv), r.lse.resize(rows), r.dq.resize(rows * Dq), r.dk.resize(rows * Dq), r.dv.resize(rows * Dv);
  return r;
}

}  // namespace attention_definition

// out and lse alone, with their bounds.
inline AttentionResult define_attention_forward(const AttentionCase& c, DType type, AttentionResult& bound) {
  namespace definition = attention_definition;
  AttentionResult result = definition::zeros(c);
  bound = definition::zeros(c);
  for (std::int64_t b = 0; b < c.B; ++b)
    for (std::int64_t h = 0; h < c.H; ++h)
      for (std::int64_t i = 0; i < c.T; ++i) definition::forward_query(c, Rounding(type), b, h, i, result, bound);
  return result;
}

// The definition and, of each of its numbers, the error that `type` may make. Output rounding included.
inline AttentionResult define_attention(const AttentionCase& c, DType type, AttentionResult& bound) {
  namespace definition = attention_definition;
  const Rounding r(type);
  AttentionResult result = definition::zeros(c);
  bound = definition::zeros(c);
  for (std::int64_t b = 0; b < c.B; ++b)
    for (std::int64_t h = 0; h < c.H; ++h)
      for (std::int64_t i = 0; i < c.T; ++i)
        definition::backward_query(c, r, b, h, i, definition::forward_query(c, r, b, h, i, result, bound), result,
                                   bound);
  const auto rounded = [&](const std::vector<double>& x, std::vector<double>& error) {
    for (std::size_t e = 0; e < x.size(); ++e) error[e] += r.operand * std::abs(x[e]) + 1e-30;
  };
  rounded(result.dq, bound.dq), rounded(result.dk, bound.dk), rounded(result.dv, bound.dv);
  return result;
}

}  // namespace longstride
