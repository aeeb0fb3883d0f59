// The gradients of the definitions against central differences of their forward twins in a random direction, in double.
// What is differentiated must be a double: float32 inputs hold multiples of 2^-10 here, so that a step of 2^-10 is
// exact.
#include "ops/definitions.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <numeric>

#include "host_matrix.h"

namespace longstride::tests {
namespace {

constexpr float kStep = 0x1p-10f;

float on_grid(float x) { return std::round(x * 1024) / 1024; }
std::vector<float> grid_floats(std::int64_t count, std::int64_t seed) {
  std::vector<float> values = random_floats(count, seed);
  for (float& v : values) v = on_grid(v);
  return values;
}
double dot(const definitions::Values& a, const definitions::Values& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Loss L = upper . f(input). dL along a direction of steps -1, 0 or 1 by differences, against gradient . direction.
void check_gradient(const std::string& what, std::vector<float>& input, const definitions::Values& upper,
                    const std::function<definitions::Values()>& f, const definitions::Values& gradient) {
  ASSERT_EQ(gradient.size(), input.size()) << what;
  const std::vector<float> before = input;
  definitions::Values direction;
  for (std::size_t i = 0; i < input.size(); ++i)
    direction.push_back(std::round(1.49 * random_value(77, static_cast<std::int64_t>(i))));
  const auto loss = [&](double scale) {
    for (std::size_t i = 0; i < input.size(); ++i)
      input[i] = before[i] + static_cast<float>(scale * direction[i]) * kStep;
    return dot(upper, f());
  };
  // Differences of fourth order: the error is a few times step^4 = 1e-12 times the fifth derivative, which the
  // curvature of norms and exponentials makes at most some thousands here.
  const double difference = (8 * (loss(1) - loss(-1)) - (loss(2) - loss(-2))) / (12 * static_cast<double>(kStep));
  input = before;
  const double want = dot(gradient, direction);
  const bool close = std::abs(difference - want) <= 1e-7 * (1 + std::abs(want));
  EXPECT_TRUE(close) << what << ": differences say " << difference << ", the definition " << want;
}

Matrix view(std::vector<float>& x, std::int64_t rows, std::int64_t cols) {
  return matrix(x.data(), DType::float32, rows, cols);
}

TEST(DefinitionsGradient, OfTheEmbedding) {
  const std::int64_t C = 5;
  std::vector<float> start = grid_floats(C, 1), token = grid_floats(6 * C, 2), position = grid_floats(4 * C, 3);
  std::vector<float> hash = grid_floats(3 * C, 5), kernel = grid_floats(2 * C, 6), out(8 * C);
  std::vector<float> dout = random_floats(8 * C, 4);
  std::vector<std::int32_t> hash_rows = {-1, -1, 2, 0, -1, -1, 2, 2};
  std::vector<std::int32_t> tokens = {-1, 2, 2, 5, -1, 0, 5, 5};
  Embed op;
  op.B = 2, op.T = 4, op.V = 6, op.tokens = array_of(tokens), op.start = array_of(start), op.token = array_of(token);
  op.positions = {{array_of(position), 4, 2}}, op.out = view(out, 8, C);
  op.buckets = 3, op.hash = {array_of(hash)}, op.hash_rows = array_of(hash_rows);
  op.taps = 2, op.kernel = array_of(kernel);
  const definitions::EmbedGradients d = definitions::embed_backward({op, view(dout, 8, C), {}, {}, {}, {}, {}});
  const auto f = [&] { return definitions::embed(op); };
  check_gradient("start", start, as_values(dout), f, d.start);
  check_gradient("token", token, as_values(dout), f, d.token);
  check_gradient("position", position, as_values(dout), f, d.position[0]);
  check_gradient("hash", hash, as_values(dout), f, d.hash[0]);
  check_gradient("kernel", kernel, as_values(dout), f, d.kernel);
}

TEST(DefinitionsGradient, OfTheNormWithItsResidual) {
  const std::int64_t N = 3, C = 6;
  std::vector<float> h = grid_floats(N * C, 1), branch = grid_floats(N * C, 2), weight = grid_floats(C, 3),
                     bias = grid_floats(C, 4);
  std::vector<float> y(N * C), mean(N), rstd(N), upper = random_floats(N * C, 5), above = random_floats(N * C, 6);
  const Dropout dropout{0.5f, 1, 3, 1};
  StepInputs inputs;
  inputs.dropout_step = 2;
  ResidualNorm op{view(h, N, C), view(branch, N, C), dropout,       {}, array_of(weight), array_of(bias), 0.25f,
                  view(y, N, C), array_of(mean),     array_of(rstd)};
  const definitions::ResidualNormValues now = definitions::residual_norm(op, inputs);
  // The gradient is taken at h_out, of both uses: y, and h_out itself from above.
  std::vector<float> h_out;
  for (const double v : now.h_out) h_out.push_back(static_cast<float>(v));  // on the grid: the scale is 2
  ResidualNormBackward backward;
  backward.dy = view(upper, N, C);
  backward.h = view(h_out, N, C);
  backward.weight = array_of(weight);
  backward.dh_out = view(above, N, C);
  backward.dropout = dropout;
  const definitions::ResidualNormGradients d = definitions::residual_norm_backward(backward, 0.25, inputs);
  definitions::Values both = as_values(upper);
  for (const float a : above) both.push_back(a);
  const auto f = [&] {
    definitions::ResidualNormValues out = definitions::residual_norm(op, inputs);
    out.y.insert(out.y.end(), out.h_out.begin(), out.h_out.end());
    return out.y;
  };
  check_gradient("h", h, both, f, d.dh);
  check_gradient("branch", branch, both, f, d.dbranch);
  check_gradient("weight", weight, both, f, d.dweight);
  check_gradient("bias", bias, both, f, d.dbias);
}

TEST(DefinitionsGradient, OfLinearAndItsActivation) {
  const std::int64_t N = 3, K = 4, M = 5;
  std::vector<float> x = grid_floats(N * K, 1), w = grid_floats(M * K, 2), bias = grid_floats(M, 3),
                     upper = random_floats(N * M, 4), y(N * M);
  Linear op;
  op.x = view(x, N, K), op.w = view(w, M, K), op.bias = array_of(bias), op.y = view(y, N, M);
  const auto f = [&] { return definitions::linear(op).y; };
  const definitions::LinearGradients d = definitions::linear_backward_weights({view(upper, N, M), op.x, {}, {}});
  check_gradient("x", x, as_values(upper), f, definitions::linear_backward_data({view(upper, N, M), op.w, {}, {}}));
  check_gradient("w", w, as_values(upper), f, d.dw);
  check_gradient("bias", bias, as_values(upper), f, d.dbias);
  // y = W f(pre): dpre, as linear_backward_data gives it where pre is present.
  std::vector<float> pre = grid_floats(N * K, 5);
  const auto activated = [&] {
    definitions::Values out;
    for (std::int64_t n = 0; n < N; ++n) {
      for (std::int64_t m = 0; m < M; ++m) {
        double sum = 0;
        for (std::int64_t k = 0; k < K; ++k)
          sum += definitions::activate(Activation::gelu_sigmoid, pre[static_cast<std::size_t>(n * K + k)]) *
                 w[static_cast<std::size_t>(m * K + k)];
        out.push_back(sum);
      }
    }
    return out;
  };
  check_gradient("pre", pre, as_values(upper), activated,
                 definitions::linear_backward_data({view(upper, N, M), op.w, view(pre, N, K), {}}));
}

TEST(DefinitionsGradient, OfTheVocabularyLoss) {
  const std::int64_t N = 4, C = 3, V = 7;
  std::vector<float> x = grid_floats(N * C, 1), w = grid_floats(V * C, 2);
  std::vector<std::int32_t> targets = {6, -1, 0, 3};
  VocabularyLoss op;
  op.x = view(x, N, C), op.w = view(w, V, C), op.targets = array_of(targets);
  StepInputs inputs;
  inputs.loss_gradient = 0.5f;
  const definitions::VocabularyLossValues d = definitions::vocabulary_loss(op, inputs);
  const definitions::Values upper(static_cast<std::size_t>(N), 0.5);
  const auto f = [&] { return definitions::vocabulary_loss(op, inputs).losses; };
  check_gradient("x", x, upper, f, d.dx);
  check_gradient("w", w, upper, f, d.dw);
  EXPECT_EQ(d.losses[1], 0);
}

TEST(DefinitionsGradient, OfAttention) {
  const std::int64_t B = 2, T = 9, H = 2, Dq = 3, Dv = 2, N = B * T;
  const Tiling merged(parse_pattern("fixed(4,1)"), T), bare(parse_pattern("summary(4,1)"), T);
  const Tiling* const tilings[] = {&merged, &bare};  // the second leaves queries without a key
  std::vector<float> q = grid_floats(N * H * Dq, 1), k = grid_floats(N * H * Dq, 2), v = grid_floats(N * H * Dv, 3);
  std::vector<float> upper = random_floats(N * H * Dv, 4);
  Attention op;
  op.B = B, op.T = T, op.H = H, op.tilings = tilings, op.scale = 0.75f;
  op.q = heads(view(q, N, H * Dq), B, T, H), op.k = heads(view(k, N, H * Dq), B, T, H);
  op.v = heads(view(v, N, H * Dv), B, T, H);
  AttentionBackward backward;
  backward.forward = op;
  backward.dout = heads(view(upper, N, H * Dv), B, T, H);
  const definitions::AttentionGradients d = definitions::attention_backward(backward);
  const auto f = [&] { return definitions::attention(op).out; };
  check_gradient("q", q, as_values(upper), f, d.dq);
  check_gradient("k", k, as_values(upper), f, d.dk);
  check_gradient("v", v, as_values(upper), f, d.dv);
  const definitions::AttentionValues out = definitions::attention(op);
  for (std::size_t c = 0; c < 2; ++c) EXPECT_EQ(out.out[2 + c], 0);  // query 0 of head 1 reads nothing
  EXPECT_EQ(out.lse[static_cast<std::size_t>(T)], -INFINITY);
}

TEST(Definitions, OfDecodingAreTheLastRowsOfAttention) {
  const std::int64_t T = 6, H = 2, D = 3;
  const Tiling dense(parse_pattern("dense"), T);
  const Tiling* const tilings[] = {&dense, &dense};
  std::vector<float> q = random_floats(T * H * D, 1), k = random_floats(T * H * D, 2), v = random_floats(T * H * D, 3);
  Attention whole;
  whole.B = 1, whole.T = T, whole.H = H, whole.tilings = tilings, whole.scale = 0.5f;
  const Matrix rows_q = view(q, T, H * D), rows_k = view(k, T, H * D), rows_v = view(v, T, H * D);
  whole.q = heads(rows_q, 1, T, H), whole.k = heads(rows_k, 1, T, H), whole.v = heads(rows_v, 1, T, H);
  const definitions::Values out = definitions::attention(whole).out;
  std::vector<float> keys(static_cast<std::size_t>(2 * T * D)), values(keys);  // head h in slots h * T ..
  for (std::int64_t t = 0; t + 1 < T; ++t) {
    for (std::int64_t c = 0; c < H * D; ++c) {
      const auto slot = static_cast<std::size_t>((c / D * T + t) * D + c % D),
                 from = static_cast<std::size_t>(t * H * D + c);
      keys[slot] = k[from];
      values[slot] = v[from];
    }
  }
  // The last position alone, and the last two of one sequence, side by side: the second reads what the first wrote.
  for (const std::int64_t rows : {1, 2}) {
    std::vector<std::int64_t> first_slot = {0, T}, write_begin, write_end, read_begin, read_end;
    std::vector<std::int32_t> group = {0, 0}, slots = {0, 1, 2, 3, 4, 5}, sequence(static_cast<std::size_t>(rows), 0);
    for (std::int64_t t = T - rows; t < T; ++t) {
      write_begin.push_back(t), write_end.push_back(t + 1);
      read_begin.push_back(0), read_end.push_back(t + 1);
      for (std::int64_t d = 0; d < H * D; ++d)  // what a row does not write before it reads would be found out
        keys[static_cast<std::size_t>((d / D * T + t) * D + d % D)] = NAN;
    }
    DecodeAttention op;
    op.H = H, op.slots = 2 * T, op.scale = 0.5f, op.groups = 1;
    op.q = rows_q.rows_from(T - rows, rows), op.k = rows_k.rows_from(T - rows, rows);
    op.v = rows_v.rows_from(T - rows, rows), op.keys = view(keys, 2 * T, D), op.values = view(values, 2 * T, D);
    op.sequence = array_of(sequence), op.first_slot = array_of(first_slot), op.group = array_of(group);
    op.write = op.read = array_of(slots), op.write_begin = array_of(write_begin), op.write_end = array_of(write_end);
    op.read_begin = array_of(read_begin), op.read_end = array_of(read_end);
    expect_close(definitions::decode_attention(op), {out.end() - rows * H * D, out.end()}, 1e-14, 1e-14,
                 "decode_attention");
  }
}

}  // namespace
}  // namespace longstride::tests
