// These tests take operations at sizes that this backend cuts into pieces of its own: rows of tables that a block owns,
// rows of a product that wait for what follows it, and a bias that a product adds itself where it can.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "host_matrix.h"
#include "ops/backend.h"
#include "ops/buffer.h"
#include "ops/device_twin.h"

namespace longstride::tests {
namespace {

void run(Operation operation, const StepInputs& inputs = {}) {
  const auto backend = make_backend(Device::cuda);
  EXPECT_EQ(DeviceTwin(*backend, {std::move(operation)}).run(inputs), "");
}

// Tables of 1 to 3,000 rows, of which a block owns 1 to 32, and more rows of the gradient than a block looks at
// together; some rows of tables are met often, most not at all.
TEST(Pieces, EmbedAddsTheGradientsOfLargeTables) {
  constexpr std::int64_t B = 2, T = 190, N = B * T, C = 130;
  for (const std::int64_t V : {1, 63, 128, 300, 3000}) {
    std::vector<std::int32_t> tokens, hash_rows;
    for (std::int64_t r = 0; r < N; ++r) {
      tokens.push_back(r % T == 0 ? -1 : static_cast<std::int32_t>(r % 7 == 0 ? V - 1 : r * r % V));
      hash_rows.push_back(static_cast<std::int32_t>(r * 31 % (V + 1)) - 1);
    }
    std::vector<float> start = random_floats(C, 1), token = random_floats(V * C, 2), hash(token), position(T * C),
                       kernel = random_floats(2 * C, 3);
    std::vector<float> dstart(start.size()), dtoken(token.size()), dhash(hash.size()), dposition(position.size()),
        dkernel(kernel.size());
    HostMatrix dout(DType::float32, N, C, 4, 3);
    EmbedBackward op;
    op.forward.B = B, op.forward.T = T, op.forward.V = V;
    op.forward.tokens = array_of(tokens), op.forward.start = array_of(start), op.forward.token = array_of(token);
    op.forward.positions = {{array_of(position), T, 1}};
    op.forward.buckets = V, op.forward.hash = {array_of(hash)}, op.forward.hash_rows = array_of(hash_rows);
    op.forward.taps = 2, op.forward.kernel = array_of(kernel);
    op.dout = dout.view(), op.dstart = array_of(dstart), op.dtoken = array_of(dtoken);
    op.dposition = {array_of(dposition)}, op.dhash = {array_of(dhash)}, op.dkernel = array_of(dkernel);
    run(op);
    const definitions::EmbedGradients want = definitions::embed_backward(op);
    const std::string what = "V " + std::to_string(V);
    const double bound = sum_bound(3 * N, 3 * N);  // at most all rows, by their token and two taps
    expect_close(as_values(dstart), want.start, bound, 0, what + " start");
    expect_close(as_values(dtoken), want.token, bound, 0, what + " token");
    expect_close(as_values(dposition), want.position[0], bound, 0, what + " position");
    expect_close(as_values(dhash), want.hash[0], bound, 0, what + " hash");
    expect_close(as_values(dkernel), want.kernel, bound, 0, what + " kernel");
  }
}

// Sums of 128 rows of so wide a product fill the memory for them: the last two rows come by themselves.
TEST(Pieces, LinearFinishesRowsInPieces) {
  constexpr std::int64_t N = 130, M = 140'000;
  HostMatrix x(DType::bfloat16, N, 1, 1), w(DType::bfloat16, M, 1, 2);
  HostMatrix y = HostMatrix::of_nothing(DType::bfloat16, N, M);
  std::vector<float> bias = random_floats(M, 4);
  Linear op;
  op.x = x.view(), op.w = w.view(), op.bias = array_of(bias), op.y = y.view();
  run(op);
  const definitions::Values xs = x.values(), ws = w.values();
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t m = n; m < M; m += 997) {
      const double want =
          xs[static_cast<std::size_t>(n)] * ws[static_cast<std::size_t>(m)] + bias[static_cast<std::size_t>(m)];
      const double got = float_from_bfloat16(op.y.bf16()[n * M + m]);
      ASSERT_NEAR(got, want, std::abs(want) * rounding(DType::bfloat16) + 0x1p-23) << n << ", " << m;
    }
  }
}

// y, and pre where it is kept, of a float32 layer whose bias begins `from` floats into a card's memory.
std::vector<float> linear_with_bias(std::int64_t from, Activation activation, bool keeps) {
  constexpr std::int64_t N = 9, K = 7, M = 21;
  const auto backend = make_backend(Device::cuda);
  const auto on_card = [&](const std::vector<float>& host) {
    Buffer buffer(*backend, std::ssize(host) * 4);
    backend->upload(buffer.data(), host.data(), buffer.bytes());
    return buffer;
  };
  std::vector<float> biases = random_floats(M, 4), got(2 * N * M);
  biases.insert(biases.begin(), static_cast<std::size_t>(from), 1e9f);
  const Buffer x = on_card(random_floats(N * K, 1)), w = on_card(random_floats(M * K, 2)), bias = on_card(biases);
  const Buffer made = on_card(got);
  Linear op;
  op.x = matrix(x.data(), DType::float32, N, K), op.w = matrix(w.data(), DType::float32, M, K);
  op.bias = bias.floats().from(from), op.activation = activation;
  op.y = matrix(made.data(), DType::float32, N, M);
  if (keeps) op.pre = matrix(made.floats().data + N * M, DType::float32, N, M);
  run_once(*backend, op);
  backend->download(got.data(), made.data(), made.bytes());
  return got;
}

// A product of float32 adds a bias itself where there is a way for its address, and leaves it to what follows
// elsewhere: to the same bits, whether there is an activation and whether its input is kept.
TEST(Pieces, LinearAddsABiasThatLiesAnywhere) {
  for (const Activation activation : {Activation::none, Activation::gelu_sigmoid}) {
    for (const bool keeps : {false, true}) {
      const std::vector<float> aligned = linear_with_bias(0, activation, keeps);
      EXPECT_NE(aligned.front(), 0);
      EXPECT_EQ(aligned.back() != 0, keeps);
      EXPECT_EQ(linear_with_bias(1, activation, keeps), aligned);
    }
  }
}

}  // namespace
}  // namespace longstride::tests
