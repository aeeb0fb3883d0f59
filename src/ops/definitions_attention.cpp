// Attention from the definition of its pattern alone: list_keys, no tiles.
#include <cmath>
#include <limits>
#include <utility>

#include "ops/definitions.h"

namespace longstride::definitions {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// The query of one sequence, head and position: what it reads and with which weights.
struct Query {
  std::vector<std::int64_t> keys;  // positions, ascending
  Values p;                        // softmax over them
  double lse = -std::numeric_limits<double>::infinity();
};

struct HeadValues {  // (B, T, H, D) as doubles
  Values values;
  std::int64_t T = 0, H = 0, D = 0;
  explicit HeadValues(const Heads& x) : T(x.T), H(x.H), D(x.D) {
    for (std::int64_t row = 0; row < x.B * T * H; ++row) {
      const std::int64_t first = x.offset(row / H / T, row / H % T, row % H);
      for (std::int64_t d = 0; d < D; ++d)
        values.push_back(x.type == DType::float32 ? x.f32()[first + d] : float_from_bfloat16(x.bf16()[first + d]));
    }
  }
  std::int64_t at(std::int64_t b, std::int64_t t, std::int64_t h) const { return ((b * T + t) * H + h) * D; }
  const double* row(std::int64_t b, std::int64_t t, std::int64_t h) const { return values.data() + at(b, t, h); }
};

double dot(const double* a, const double* b, std::int64_t D) {
  double sum = 0;
  for (std::int64_t d = 0; d < D; ++d) sum += a[d] * b[d];
  return sum;
}

// p_j = exp(s_j - lse), s_j = scale * q . k_j, lse = log sum exp of s
void normalise(Query& query) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const double s : query.p) largest = std::fmax(largest, s);
  for (const double s : query.p) sum += std::exp(s - largest);
  if (!query.keys.empty()) query.lse = largest + std::log(sum);
  for (double& s : query.p) s = std::exp(s - query.lse);
}

// i: position.
Query query_of(const Attention& op, const HeadValues& q, const HeadValues& k, std::int64_t b, std::int64_t h,
               std::int64_t i) {
  Query query;
  list_keys(op.tilings[h]->pattern(), i, query.keys);
  for (const std::int64_t j : query.keys)
    query.p.push_back(op.scale * dot(q.row(b, i - op.first, h), k.row(b, j, h), q.D));
  normalise(query);
  return query;
}

template <class Visit>
void for_each_query(const Attention& op, const HeadValues& q, const HeadValues& k, const Visit& visit) {
  for (std::int64_t b = 0; b < op.B; ++b) {
    for (std::int64_t h = 0; h < op.H; ++h) {
      for (std::int64_t i = op.first; i < op.first + q.T; ++i) visit(b, h, i, query_of(op, q, k, b, h, i));
    }
  }
}

}  // namespace

// out_i = sum_j p_j v_j; 0 where a query reads no key.
AttentionValues attention(const Attention& op) {
  const HeadValues q(op.q), k(op.k), v(op.v);
  AttentionValues out{Values(index(op.B * q.T * op.H * v.D)), {}};
  for_each_query(op, q, k, [&](std::int64_t b, std::int64_t h, std::int64_t i, const Query& query) {
    out.lse.push_back(query.lse);
    double* row = out.out.data() + ((b * q.T + i - op.first) * op.H + h) * v.D;
    for (std::size_t at = 0; at < query.keys.size(); ++at) {
      const double* value = v.row(b, query.keys[at], h);
      for (std::int64_t d = 0; d < v.D; ++d) row[d] += query.p[at] * value[d];
    }
  });
  return out;
}

// With delta_i = sum_d out * dout:  dv = P^T dout;  dS = P * (dout v^T - delta);  dq = scale * dS k;  dk = scale * dS^T
// q
AttentionGradients attention_backward(const AttentionBackward& op) {
  const Attention& forward = op.forward;
  const HeadValues q(forward.q), k(forward.k), v(forward.v), dout(op.dout);
  AttentionGradients d{Values(q.values.size()), Values(k.values.size()), Values(v.values.size())};
  for_each_query(forward, q, k, [&](std::int64_t b, std::int64_t h, std::int64_t i, const Query& query) {
    const double* upper = dout.row(b, i, h);
    double delta = 0;
    Values dp;
    for (std::size_t at = 0; at < query.keys.size(); ++at) {
      dp.push_back(dot(upper, v.row(b, query.keys[at], h), v.D));
      delta += query.p[at] * dp[at];
    }
    for (std::size_t at = 0; at < query.keys.size(); ++at) {
      const std::int64_t j = query.keys[at];
      const double ds = forward.scale * query.p[at] * (dp[at] - delta);
      for (std::int64_t e = 0; e < q.D; ++e) {
        d.dq[index(q.at(b, i, h) + e)] += ds * k.row(b, j, h)[e];
        d.dk[index(k.at(b, j, h) + e)] += ds * q.row(b, i, h)[e];
      }
      for (std::int64_t e = 0; e < v.D; ++e) d.dv[index(v.at(b, j, h) + e)] += query.p[at] * upper[e];
    }
  });
  return d;
}

// Row by row, as operations on a copy of the stores: what a row writes, the rows after it read.
Values decode_attention(const DecodeAttention& op) {
  const std::int64_t R = op.q.rows, G = op.groups;
  const HeadValues q(heads(op.q, R, 1, op.H)), k(heads(op.k, R, 1, op.H)), v(heads(op.v, R, 1, op.H));
  Values out(v.values.size()), keys = values_of(op.keys), values = values_of(op.values);
  for (std::int64_t r = 0; r < R; ++r) {
    for (std::int64_t h = 0; h < op.H; ++h) {
      const std::int64_t e = r * G + op.group[h], first = op.sequence[r] * op.slots + op.first_slot[h];
      for (std::int64_t w = op.write_begin[e]; w < op.write_end[e]; ++w) {
        std::copy_n(k.row(r, 0, h), q.D, keys.begin() + (first + op.write[w]) * q.D);
        std::copy_n(v.row(r, 0, h), v.D, values.begin() + (first + op.write[w]) * v.D);
      }
      Query query;
      for (std::int64_t at = op.read_begin[e]; at < op.read_end[e]; ++at) {
        query.keys.push_back(first + op.read[at]);
        query.p.push_back(op.scale * dot(q.row(r, 0, h), keys.data() + query.keys.back() * q.D, q.D));
      }
      normalise(query);
      for (std::size_t at = 0; at < query.keys.size(); ++at)
        for (std::int64_t d = 0; d < v.D; ++d)
          out[index(v.at(r, 0, h) + d)] += query.p[at] * values[index(query.keys[at] * v.D + d)];
    }
  }
  return out;
}

// Copy by copy.
CacheRowsValues cache_rows(const CacheRows& op) {
  CacheRowsValues of{values_of(op.k), values_of(op.v), values_of(op.keys), values_of(op.values)};
  for (std::int64_t h = 0; h < op.H; ++h) {
    const std::int64_t g = op.group[h], first = op.sequence[0] * op.slots + op.first_slot[h];
    for (std::int64_t e = op.begin[g]; e < op.begin[g + 1]; ++e) {
      for (const auto& [rows, store] : {std::pair(&of.k, &of.keys), std::pair(&of.v, &of.values)}) {
        const std::int64_t D = rows == &of.k ? op.keys.cols : op.values.cols;
        for (std::int64_t d = 0; d < D; ++d) {
          double& in_row = (*rows)[index((op.row[e] * op.H + h) * D + d)];
          double& in_slot = (*store)[index((first + op.slot[e]) * D + d)];
          (op.recall ? in_row : in_slot) = op.recall ? in_slot : in_row;
        }
      }
    }
  }
  return of;
}

}  // namespace longstride::definitions
