// These tests let operands lie more than 2^31 elements apart, in address space of which only what is touched has
// memory.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "host_matrix.h"
#include "ops/attention_memory.h"
#include "ops/backend.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 12345;  // elements: no 32-bit index reaches them, signed or not

// Zeros, as many as are never touched together.
class Space {
 public:
  explicit Space(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)) {
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~Space() {
    if (*this) ::munmap(memory_, bytes_);
  }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;
  explicit operator bool() const { return memory_ != MAP_FAILED; }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  std::size_t bytes_;
  void* memory_ = nullptr;
};

class LargeIndices : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

#define LONGSTRIDE_NEEDS(space) \
  if (!(space)) GTEST_SKIP() << "this system gives no address space without memory"

// Rows, sequences and heads that lie gigabytes apart give the bits of those that lie side by side.
TEST_F(LargeIndices, AttentionOfRowsThatLieFarApart) {
  constexpr std::int64_t kRow = std::int64_t{1} << 26, kT = 70, kH = 2, kD = 16;  // the last row begins beyond 2^32
  const AttentionCase c = attention_case({"strided(8)", "fixed(16,4)"}, 1, kT, kH, kD, kD);
  const RunAll run = [&](std::vector<Operation> operations) { compile_bound(*backend_, std::move(operations))->run(); };
  const AttentionResult wanted = run_attention(run, c, DType::float32, Layout::by_position);
  const Space space(8 * kRow * (kT + 1) * 4);
  LONGSTRIDE_NEEDS(space);
  AttentionMatrices matrices(c, DType::float32, Layout::by_position);
  AttentionBackward backward = matrices.backward();
  std::int64_t next = 0;
  const auto move = [&](Heads& x) {  // to the space, element by element
    const Heads from = x;
    x.data = space.as<float>() + next++ * kRow * (kT + 1);
    x.row_stride = kRow, x.head_stride = kRow / 3;
    for (std::int64_t t = 0; t < kT; ++t)
      for (std::int64_t h = 0; h < kH; ++h)
        std::copy_n(from.f32() + from.offset(0, t, h), kD, x.f32() + x.offset(0, t, h));
  };
  const std::initializer_list<Heads*> inputs = {&backward.forward.q, &backward.forward.k, &backward.forward.v,
                                                &backward.dout};
  const std::initializer_list<Heads*> outputs = {&backward.forward.out, &backward.dq, &backward.dk, &backward.dv};
  for (Heads* x : inputs) move(*x);
  for (Heads* x : outputs) move(*x);
  run({backward.forward, backward});
  const auto expect_same = [&](const Heads& x, const std::vector<double>& values, const char* name) {
    for (std::int64_t h = 0, at = 0; h < kH; ++h)
      for (std::int64_t t = 0; t < kT; ++t)
        for (std::int64_t d = 0; d < kD; ++d, ++at)
          ASSERT_EQ(x.f32()[x.offset(0, t, h) + d], static_cast<float>(values[static_cast<std::size_t>(at)])) << name;
  };
  expect_same(backward.forward.out, wanted.out, "out");
  expect_same(backward.dq, wanted.dq, "dq");
  expect_same(backward.dk, wanted.dk, "dk");
  expect_same(backward.dv, wanted.dv, "dv");
}

// The last rows of tables of 2^31 elements and more: read by embed, added to by its backward pass.
TEST_F(LargeIndices, EmbeddingsOfLargeTables) {
  constexpr std::int64_t C = 64, V = kFar / C + 2, T = 4;
  const Space table(V * C * 4), gradients(V * C * 4);
  LONGSTRIDE_NEEDS(table && gradients);
  std::vector<std::int32_t> tokens = {-1, static_cast<std::int32_t>(V - 1), 3, static_cast<std::int32_t>(V - 1)};
  for (std::int64_t c = 0; c < C; ++c) {
    table.as<float>()[(V - 1) * C + c] = static_cast<float>(c + 1);
    table.as<float>()[3 * C + c] = static_cast<float>(-c);
  }
  std::vector<float> start(C, 7), d_start(C), position(C * T), d_position(C * T);
  HostMatrix out = HostMatrix::of_nothing(DType::float32, T, C), d_out(DType::float32, T, C, 5);
  Embed embed;
  embed.B = 1, embed.T = T, embed.V = V;
  embed.tokens = array_of(tokens);
  embed.start = array_of(start);
  embed.token = array(table.as<float>(), V * C);
  embed.positions = {{array_of(position), T, 1}};
  embed.out = out.view();
  run_once(*backend_, embed);
  const definitions::Values rows = out.values();
  for (std::int64_t c = 0; c < C; ++c) {
    const auto at = static_cast<std::size_t>(c);
    EXPECT_EQ(rows[at], 7);
    EXPECT_EQ(rows[static_cast<std::size_t>(C) + at], c + 1);
    EXPECT_EQ(rows[static_cast<std::size_t>(2 * C) + at], -c);
  }
  EmbedBackward backward;
  backward.forward = embed;
  backward.forward.out = {};
  backward.dout = d_out.view();
  backward.dstart = array_of(d_start);
  backward.dtoken = array(gradients.as<float>(), V * C);
  backward.dposition = {array_of(d_position)};
  run_once(*backend_, backward);
  const definitions::Values d = d_out.values();
  for (std::int64_t c = 0; c < C; ++c) {
    const auto sum = static_cast<float>(d[static_cast<std::size_t>(C + c)]) +
                     static_cast<float>(d[static_cast<std::size_t>(3 * C + c)]);
    EXPECT_EQ(gradients.as<float>()[(V - 1) * C + c], sum);
  }
}

// Rows of a product, and of a norm, that lie beyond 2^31 elements.
TEST_F(LargeIndices, MatricesOfRowsThatLieFarApart) {
  constexpr std::int64_t N = 3, K = 24, M = 8, kStride = kFar / 2 + 1;
  const Space far_x(N * kStride * 4), far_y(N * kStride * 4);
  LONGSTRIDE_NEEDS(far_x && far_y);
  HostMatrix x(DType::float32, N, K, 1), w(DType::float32, M, K, 2), y(DType::float32, N, M, 3);
  std::vector<float> bias(M, 0.5f);
  run_once(*backend_, Linear{x.view(), w.view(), array_of(bias), Activation::gelu_sigmoid, {}, y.view()});
  const definitions::Values from = x.values(), wanted = y.values();
  for (std::int64_t e = 0; e < N * K; ++e)
    far_x.as<float>()[e / K * kStride + e % K] = static_cast<float>(from[static_cast<std::size_t>(e)]);
  const Matrix from_far{far_x.as<float>(), DType::float32, N, K, kStride};
  const Matrix to_far{far_y.as<float>(), DType::float32, N, M, kStride};
  run_once(*backend_, Linear{from_far, w.view(), array_of(bias), Activation::gelu_sigmoid, {}, to_far});
  for (std::int64_t e = 0; e < N * M; ++e)
    EXPECT_EQ(far_y.as<float>()[e / M * kStride + e % M], static_cast<float>(wanted[static_cast<std::size_t>(e)])) << e;
}

// To plan is to compile without memory: buffers of 2^33 elements have their bytes.
TEST_F(LargeIndices, BuffersArePlannedBeyondThirtyTwoBits) {
  constexpr std::int64_t N = std::int64_t{1} << 20, K = std::int64_t{1} << 13, M = 16;
  Program program;
  const Matrix x = program.matrix("x", Life::lasting, DType::float32, N, K);
  const Matrix y = program.matrix("y", Life::lasting, DType::float32, N, M);
  program.add(Linear{x, {nullptr, DType::float32, M, K, K}, {}, Activation::none, {}, y});
  const std::unique_ptr<Executable> executable = backend_->compile(std::move(program));
  EXPECT_EQ(executable->arena_bytes(), N * (K + M) * 4);
}

}  // namespace
}  // namespace longstride::tests
