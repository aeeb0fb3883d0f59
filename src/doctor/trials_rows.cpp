// This draws operands for the operations on rows: embeddings, norms and products. The bounds are those of the tests
// (tests/ops), which derive them.
#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>

#include "doctor/trials.h"

namespace longstride::doctor {

namespace {

double largest(const Values& values) {
  double most = 0;
  for (const double value : values) most = std::fmax(most, std::abs(value));
  return most;
}

}  // namespace

namespace {

struct EmbedOperands {
  static constexpr std::int64_t kB = 2, kV = 11, kBuckets = 13, kTaps = 3;
  EmbedOperands(Draw& draw, std::int64_t t, std::int64_t c)
      : T(t), C(c), out(DType::float32, kB * t, c, draw.seed(), 1) {
    for (std::vector<float>* table : {&start, &token, &rows, &columns, &pairs, &kernel}) {
      const std::int64_t of[] = {1, kV, 5, 7, kBuckets, kTaps};
      *table = random_floats(of[tables.size()] * C, draw.seed());
      tables.push_back(table);
      gradients.emplace_back(table->size());
    }
    for (std::int64_t i = 0; i < kB * T; ++i) {
      tokens.push_back(i % T == 0 ? -1 : static_cast<std::int32_t>(draw.from(0, kV - 1)));
      hash_rows.push_back(static_cast<std::int32_t>(draw.from(-1, kBuckets - 1)));
    }
  }
  Embed op() {
    Embed e;
    e.B = kB, e.T = T, e.V = kV, e.buckets = kBuckets, e.taps = kTaps;
    e.tokens = array_of(tokens), e.start = array_of(start), e.token = array_of(token);
    e.positions = {{array_of(rows), 5, 7}, {array_of(columns), 7, 1}};
    e.hash = {array_of(pairs)}, e.hash_rows = array_of(hash_rows), e.kernel = array_of(kernel);
    e.out = out.view();
    return e;
  }
  std::int64_t T, C;
  HostMatrix out;
  std::vector<std::int32_t> tokens, hash_rows;
  std::vector<float> start, token, rows, columns, pairs, kernel;
  std::vector<std::vector<float>*> tables;
  std::vector<std::vector<float>> gradients;  // of the tables
};

}  // namespace

Trial embed_trial(Draw& draw, DType) {
  const std::int64_t T = draw.from(1, 35), C = draw.size(200);
  const auto o = std::make_shared<EmbedOperands>(draw, T, C);
  Trial trial{fmt::format("T {}, C {}", T, C)};
  trial.want(definitions::embed(o->op()), 7 * 8 * kStep, 0);
  trial.made = [o](const RunAll& run) {
    o->out.fill(NAN);
    run({o->op()});
    return o->out.values();
  };
  return trial;
}

Trial embed_backward_trial(Draw& draw, DType) {
  const std::int64_t T = draw.from(1, 35), C = draw.size(200);
  const auto o = std::make_shared<EmbedOperands>(draw, T, C);
  const auto op = [o] {
    Embed forward = o->op();
    forward.out = {};
    auto& d = o->gradients;
    return EmbedBackward{
        forward,          o->out.view(), array_of(d[0]), array_of(d[1]), {array_of(d[2]), array_of(d[3])},
        {array_of(d[4])}, array_of(d[5])};
  };
  const definitions::EmbedGradients d = definitions::embed_backward(op());
  Trial trial{fmt::format("T {}, C {}", T, C)};
  const std::int64_t meet = 2 * T * (1 + EmbedOperands::kTaps);  // rows in one row of a table
  trial.want(plus(joined({d.start, d.token, d.position[0], d.position[1], d.hash[0], d.kernel}), 1),
             sum_bound(meet, real(meet + 1)), 0);
  trial.made = [o, op](const RunAll& run) {
    for (std::vector<float>& gradient : o->gradients) gradient.assign(gradient.size(), 1);
    run({op()});
    Values all;
    for (const std::vector<float>& gradient : o->gradients) append(all, as_values(gradient));
    return all;
  };
  return trial;
}

namespace {

struct NormOperands {
  NormOperands(Draw& draw, DType type, std::int64_t N, std::int64_t C)
      : h(DType::float32, N, C, draw.seed()),
        above(DType::float32, N, C, draw.seed(), 1),
        h_out(nothing(DType::float32, N, C, 2)),
        branch(type, N, C, draw.seed(), 1),
        y(nothing(type, N, C, 3)),
        weight(random_floats(C, draw.seed())),
        bias(random_floats(C, draw.seed())),
        mean(static_cast<std::size_t>(N)),
        rstd(mean),
        dropout{0.4f, draw.seed(), 3, 1} {}
  HostMatrix h, above, h_out, branch, y;
  std::vector<float> weight, bias, mean, rstd;
  Dropout dropout;
};

// Rows of 16 elements and more: their spread is above 0.1.
std::int64_t norm_width(Draw& draw) { return std::max<std::int64_t>(16, draw.size(300)); }

}  // namespace

Trial residual_norm_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(200), C = norm_width(draw);
  const auto o = std::make_shared<NormOperands>(draw, type, N, C);
  const auto op = [o] {
    return ResidualNorm{o->h.view(),         o->branch.view(),  o->dropout, o->h_out.view(),
                        array_of(o->weight), array_of(o->bias), 1e-5f,      o->y.view(),
                        array_of(o->mean),   array_of(o->rstd)};
  };
  Trial trial{fmt::format("N {}, C {}", N, C), {.dropout_step = draw.seed()}};
  const definitions::ResidualNormValues want = definitions::residual_norm(op(), trial.inputs);
  const double relative = 60 * real(C + 4) * kStep;
  trial.want(joined({want.h_out, want.mean}), sum_bound(C + 3, 2.7), 0);
  trial.want(want.rstd, 0, relative);
  trial.want(want.y, std::sqrt(real(C)) * relative + 1e-5, 2 * rounding(type));
  trial.made = [o, op](const RunAll& run) {
    o->h_out.fill(NAN), o->y.fill(NAN);
    run({op()});
    return joined({o->h_out.values(), as_values(o->mean), as_values(o->rstd), o->y.values()});
  };
  return trial;
}

Trial residual_norm_backward_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(300), C = norm_width(draw);
  const auto o = std::make_shared<NormOperands>(draw, type, N, C);
  const definitions::ResidualNormValues forward = definitions::residual_norm(
      {o->h.view(), {}, {}, {}, array_of(o->weight), array_of(o->bias), 1e-5f, o->y.view(), {}, {}});
  std::copy(forward.mean.begin(), forward.mean.end(), o->mean.begin());
  std::copy(forward.rstd.begin(), forward.rstd.end(), o->rstd.begin());
  const auto d = std::make_shared<std::array<std::vector<float>, 2>>();  // of weight and bias
  (*d)[0].resize(static_cast<std::size_t>(C)), (*d)[1].resize(static_cast<std::size_t>(C));
  const auto op = [o, d] {
    return ResidualNormBackward{o->branch.view(),    o->h.view(),       array_of(o->mean), array_of(o->rstd),
                                array_of(o->weight), o->above.view(),   o->h_out.view(),   o->y.view(),
                                o->dropout,          array_of((*d)[0]), array_of((*d)[1])};
  };
  Trial trial{fmt::format("N {}, C {}", N, C), {.dropout_step = draw.seed()}};
  const definitions::ResidualNormGradients want = definitions::residual_norm_backward(op(), 1e-5, trial.inputs);
  const double bound = 4 * real(N + C) * kStep * 30 * std::sqrt(real(C));
  trial.want(joined({want.dh, plus(want.dweight, 1), plus(want.dbias, 2)}), bound, 1e-5);
  trial.want(want.dbranch, bound, 2 * rounding(type) + 1e-5);
  trial.made = [o, d, op](const RunAll& run) {
    o->h_out.fill(NAN), o->y.fill(NAN);
    (*d)[0].assign((*d)[0].size(), 1), (*d)[1].assign((*d)[1].size(), 2);
    run({op()});
    return joined({o->h_out.values(), as_values((*d)[0]), as_values((*d)[1]), o->y.values()});
  };
  return trial;
}

namespace {

struct ProductOperands {
  HostMatrix a, b, c, d;
  std::vector<float> vector;
};

std::string product_shape(std::int64_t N, std::int64_t K, std::int64_t M) {
  return fmt::format("N {}, K {}, M {}", N, K, M);
}

}  // namespace

Trial linear_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(200), K = draw.size(130), M = draw.size(130);
  const std::shared_ptr<ProductOperands> o(new ProductOperands{{type, N, K, draw.seed(), 1},
                                                               {type, M, K, draw.seed()},
                                                               nothing(type, N, M, 2),
                                                               nothing(type, N, M),
                                                               random_floats(M, draw.seed())});
  Linear op;
  op.x = o->a.view(), op.w = o->b.view(), op.bias = array_of(o->vector), op.pre = o->c.view(), op.y = o->d.view();
  op.activation = draw.from(0, 1) == 0 ? Activation::none : Activation::gelu_sigmoid;
  const definitions::LinearValues want = definitions::linear(op);
  Trial trial{product_shape(N, K, M)};
  const double bound = 1.2 * sum_bound(K + 1, real(K + 1)) + 1e-6 * real(K + 1);
  trial.want(want.pre, bound, 2 * rounding(type));
  trial.want(want.y, bound + 1.2 * rounding(type) * largest(want.pre), 2 * rounding(type));
  trial.made = [o, op](const RunAll& run) {
    o->c.fill(NAN), o->d.fill(NAN);
    run({op});
    return joined({o->c.values(), o->d.values()});
  };
  return trial;
}

Trial linear_backward_data_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(200), K = draw.size(130), M = draw.size(130);
  const std::shared_ptr<ProductOperands> o(new ProductOperands{
      {type, N, M, draw.seed(), 1}, {type, M, K, draw.seed()}, {type, N, K, draw.seed()}, nothing(type, N, K, 3), {}});
  LinearBackwardData op{o->a.view(), o->b.view(), {}, o->d.view()};
  if (draw.from(0, 1) == 1) op.pre = o->c.view();
  Trial trial{product_shape(N, K, M)};
  trial.want(definitions::linear_backward_data(op), 1.2 * sum_bound(M, real(M)) + 1e-6 * real(M), 3 * rounding(type));
  trial.made = [o, op](const RunAll& run) {
    o->d.fill(NAN);
    run({op});
    return o->d.values();
  };
  return trial;
}

Trial linear_backward_weights_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(300), K = draw.size(130), M = draw.size(130);
  const std::shared_ptr<ProductOperands> o(new ProductOperands{{type, N, M, draw.seed(), 1},
                                                               {type, N, K, draw.seed()},
                                                               nothing(DType::float32, M, K),
                                                               nothing(DType::float32, 1, 1),
                                                               random_floats(M, 1)});
  const LinearBackwardWeights op{o->a.view(), o->b.view(), o->c.view(), array_of(o->vector)};
  const definitions::LinearGradients want = definitions::linear_backward_weights(op);
  Trial trial{product_shape(N, K, M)};
  trial.want(joined({plus(want.dw, 0.5), plus(want.dbias, 0.25)}), sum_bound(N + 1, real(N + 1)), 0);
  trial.made = [o, op](const RunAll& run) {
    o->c.fill(0.5f);
    o->vector.assign(o->vector.size(), 0.25f);
    run({op});
    return joined({o->c.values(), as_values(o->vector)});
  };
  return trial;
}

}  // namespace longstride::doctor
