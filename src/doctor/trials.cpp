// This draws shapes, and operands for the loss, sums and what is computed element by element. The bounds are those of
// the tests (tests/ops), which derive them.
#include "doctor/trials.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

namespace longstride::doctor {

std::int64_t Draw::from(std::int64_t least, std::int64_t most) {
  const std::uint32_t word = philox({drawn_++, 0, 0, 1}, key_)[0];
  return least + static_cast<std::int64_t>(word) % (most - least + 1);
}

std::int64_t Draw::size(std::int64_t most) {
  constexpr std::int64_t kEdges[] = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
  const std::int64_t edge = kEdges[from(0, std::ssize(kEdges) - 1)];
  return from(0, 1) == 0 && edge <= most ? edge : from(1, most);
}

void Trial::want(const Values& values, double absolute, double relative) {
  for (const double value : values) bound.push_back(absolute + relative * std::abs(value));
  append(wanted, values);
}

void Trial::want(const Values& values, const Values& bounds) {
  append(wanted, values);
  append(bound, bounds);
}

namespace {

struct LossOperands {
  HostMatrix x, w, dx, dw;
  std::vector<std::int32_t> targets;
  std::vector<float> losses;
};

Trial vocabulary_loss_trial(Draw& draw, DType type) {
  const std::int64_t N = draw.size(130), C = draw.size(64), V = draw.size(256);
  const std::shared_ptr<LossOperands> o(new LossOperands{{type, N, C, draw.seed(), 1},
                                                         {type, V, C, draw.seed()},
                                                         nothing(type, N, C, 2),
                                                         nothing(DType::float32, V, C),
                                                         {},
                                                         random_floats(N, 1)});
  for (std::int64_t n = 0; n < N; ++n) o->targets.push_back(static_cast<std::int32_t>(draw.from(-1, V - 1)));
  const VocabularyLoss op{o->x.view(),         o->w.view(),  array_of(o->targets),
                          array_of(o->losses), o->dx.view(), o->dw.view()};
  Trial trial{fmt::format("N {}, C {}, V {}", N, C, V), {.loss_gradient = 0.5f}};
  const definitions::VocabularyLossValues want = definitions::vocabulary_loss(op, trial.inputs);
  const double of_loss = 2 * sum_bound(C, real(C)) + real(V + 8) * kStep + 1e-6;
  const double of_dlogits = of_loss + rounding(type) + sum_bound(V, 1);
  trial.want(want.losses, of_loss, 1e-6);
  trial.want(want.dx, 2 * of_dlogits, 2 * rounding(type));
  trial.want(plus(want.dw, 1), real(N) * 0.5 * of_dlogits + 1e-6, 1e-6);
  trial.made = [o, op](const RunAll& run) {
    o->dx.fill(NAN), o->dw.fill(1);
    run({op});
    return joined({as_values(o->losses), o->dx.values(), o->dw.values()});
  };
  return trial;
}

struct OptimizerOperands {
  std::vector<float> w, m, v, dw, ema, scale = {0.5f};
};

Trial adamw_trial(Draw& draw, DType) {
  const std::int64_t row = draw.size(64), rows = draw.size(129);
  OptimizerOperands from;
  for (std::vector<float>* x : {&from.w, &from.m, &from.v, &from.dw, &from.ema})
    *x = random_floats(rows * row, draw.seed());
  for (float& v : from.v) v = v * v + 0.01f;
  const bool by_rows = draw.from(0, 1) == 1;
  if (by_rows) std::fill_n(from.dw.begin(), row, 0.0f);
  const auto op_on = [row, by_rows](OptimizerOperands& on) {
    AdamW op;
    op.w = array_of(on.w), op.m = array_of(on.m), op.v = array_of(on.v), op.dw = array_of(on.dw);
    op.ema = array_of(on.ema), op.scale = array_of(on.scale), op.row = by_rows ? row : 0;
    op.beta1 = 0.9f, op.beta2 = 0.999f, op.epsilon = 1e-3f, op.decay = 0.01f, op.ema_decay = 0.99f;
    return op;
  };
  Trial trial{fmt::format("{} rows of {}{}", rows, row, by_rows ? ", by rows" : ""),
              {.rate = 0.01f, .correction1 = 0.4f, .correction2 = 0.3f}};
  const definitions::AdamWValues want = definitions::adamw(op_on(from), trial.inputs);
  trial.want(joined({want.w, want.ema}), 16 * kStep * 25, 1e-5);
  trial.want(joined({want.m, want.v}), 4 * kStep, 0);
  trial.made = [from, op_on](const RunAll& run) {
    OptimizerOperands on = from;
    run({op_on(on)});
    return joined({as_values(on.w), as_values(on.ema), as_values(on.m), as_values(on.v)});
  };
  return trial;
}

struct SumOperands {
  std::vector<float> x, scale = {-1};
  std::vector<double> squares = {}, bits = {3}, norm = {-1};
};

Trial sum_trial(Draw& draw, DType) {
  const std::int64_t count = draw.from(1, 10000);
  const std::vector<float> a = random_floats(count, draw.seed()), b = random_floats(count, draw.seed());
  Trial trial{fmt::format("{} elements", count)};
  Values want;
  for (std::size_t i = 0; i < a.size(); ++i) want.push_back(a[i] + b[i]);  // rounded once
  trial.want(want, 0, 0);
  trial.made = [a, b](const RunAll& run) {
    std::vector<float> x = a, y = b, out(a.size(), NAN);
    run({Sum{array_of(x), array_of(y), array_of(out)}});
    return as_values(out);
  };
  return trial;
}

Trial square_sums_trial(Draw& draw, DType) {
  const std::int64_t count = draw.from(1, 10000);
  const std::shared_ptr<SumOperands> o(new SumOperands{.x = random_floats(count, draw.seed())});
  o->squares.resize(static_cast<std::size_t>(square_sums_of(count)));
  const SquareSums op{array_of(o->x), array_of(o->squares)};
  Trial trial{fmt::format("{} elements", count)};
  trial.want(definitions::square_sums(op), 0, 1e-13);
  trial.made = [o, op](const RunAll& run) {
    std::fill(o->squares.begin(), o->squares.end(), NAN);
    run({op});
    return Values(o->squares);
  };
  return trial;
}

Trial gradient_norm_trial(Draw& draw, DType) {
  const std::int64_t chunks = draw.from(1, 3000);
  const std::shared_ptr<SumOperands> o(new SumOperands{});
  for (const float x : random_floats(chunks, draw.seed())) o->squares.push_back(x * x);
  const GradientNorm op{array_of(o->squares), array_of(o->bits), real(draw.from(0, 2)), array_of(o->norm),
                        array_of(o->scale)};
  const definitions::GradientNormValues want = definitions::gradient_norm(op);
  Trial trial{fmt::format("{} chunks", chunks)};
  trial.want({want.norm}, 0, 1e-13);
  trial.want({want.scale}, 0, 2 * kStep);
  trial.made = [o, op](const RunAll& run) {
    o->norm[0] = NAN, o->scale[0] = NAN;
    run({op});
    return Values{o->norm[0], o->scale[0]};
  };
  return trial;
}

Trial sum_bits_trial(Draw& draw, DType) {
  const std::int64_t count = draw.from(1, 10000);
  const std::shared_ptr<SumOperands> o(new SumOperands{.x = random_floats(count, draw.seed())});
  const SumBits op{array_of(o->x), array_of(o->bits)};
  Trial trial{fmt::format("{} elements", count)};
  trial.want({1 + definitions::sum_bits(op)}, 2 * kStep * real(count), 1e-12);  // each is rounded to float32
  trial.made = [o, op](const RunAll& run) {
    o->bits[0] = 1;
    run({op});
    return Values{o->bits[0]};
  };
  return trial;
}

// zero, round and exchange, which nothing may round but round.
Trial copies_trial(Draw& draw, DType) {
  const std::int64_t count = draw.from(1, 10000);
  const std::int64_t a = draw.seed(), b = draw.seed();
  const std::vector<float> first = random_floats(count, a), second = random_floats(count, b);
  Trial trial{fmt::format("{} elements", count)};
  Values rounded;
  for (const float x : second) rounded.push_back(float_from_bfloat16(bfloat16_from_float(x)));
  trial.want(joined({as_values(second), Values(first.size(), 0.0), rounded}), 0, 0);
  trial.made = [first, second](const RunAll& run) {
    std::vector<float> x = first, y = second;
    std::vector<std::uint16_t> halves(x.size());
    run({Exchange{array_of(x), array_of(y)}, Round{array_of(x), array_of(halves)}, Zero{array_of(y)}});
    Values all = joined({as_values(x), as_values(y)});
    for (const std::uint16_t half : halves) all.push_back(float_from_bfloat16(half));
    return all;
  };
  return trial;
}

}  // namespace

std::span<const Kernel> kernels() {
  static constexpr Kernel kKernels[] = {
      {"embed", embed_trial, false},
      {"embed_backward", embed_backward_trial, false},
      {"residual_norm", residual_norm_trial},
      {"residual_norm_backward", residual_norm_backward_trial},
      {"linear", linear_trial},
      {"linear_backward_data", linear_backward_data_trial},
      {"linear_backward_weights", linear_backward_weights_trial},
      {"attention", attention_trial},
      {"decode_attention", decode_attention_trial},
      {"cache_rows", cache_rows_trial},
      {"vocabulary_loss", vocabulary_loss_trial},
      {"sum_bits", sum_bits_trial, false},
      {"sum", sum_trial, false},
      {"square_sums", square_sums_trial, false},
      {"gradient_norm", gradient_norm_trial, false},
      {"adamw", adamw_trial, false},
      {"pack_rows", pack_rows_trial, false},
      {"sum_rows", sum_rows_trial, false},
      {"put_rows", put_rows_trial, false},
      {"zero, round, exchange", copies_trial, false},
  };
  return kKernels;
}

}  // namespace longstride::doctor
