// SparseAttention over a caller's memory against the definition in double.
#include "longstride/sparse_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <thread>
#include <vector>

#include "error_words.h"
#include "host_matrix.h"
#include "longstride/device.h"
#include "ops/definitions.h"

namespace longstride {
namespace {

enum class Order { by_position, by_head, apart };

// An operand (B, T, H, D) of random numbers that are exact in bfloat16; gaps hold NaN.
struct Operand {
  NumberFormat format;
  Heads at;  // without data
  std::vector<float> floats;
  std::vector<std::uint16_t> halves;

  Operand(const SparseAttentionShape& s, std::int64_t D, Order order, std::int64_t seed) : format(s.format) {
    at = {nullptr, DType::float32, s.B, s.T, s.H, D, s.T * s.H * D, s.H * D, D};
    if (s.format == NumberFormat::bfloat16) at.type = DType::bfloat16;
    if (order == Order::by_head) at.row_stride = D, at.head_stride = s.T * D;
    if (order == Order::apart) at.head_stride = D + 1, at.row_stride = s.H * (D + 1) + 3;
    if (order == Order::apart) at.batch_stride = s.T * at.row_stride + 5;
    const auto count = static_cast<std::size_t>(s.B * at.batch_stride);
    floats.assign(format == NumberFormat::float32 ? count : 0, NAN);
    halves.assign(format == NumberFormat::bfloat16 ? count : 0, bfloat16_from_float(NAN));
    std::int64_t i = 0;
    each([&](std::size_t e) { set(e, random_value(seed, i++)); });
  }
  void set(std::size_t e, float x) {
    if (format == NumberFormat::float32) floats[e] = float_from_bfloat16(bfloat16_from_float(x));
    if (format == NumberFormat::bfloat16) halves[e] = bfloat16_from_float(x);
  }
  // In the order (B, T, H, D).
  void each(const std::function<void(std::size_t)>& visit) const {
    for (std::int64_t row = 0; row < at.B * at.T * at.H; ++row)
      for (std::int64_t d = 0; d < at.D; ++d)
        visit(static_cast<std::size_t>(at.offset(row / at.H / at.T, row / at.H % at.T, row % at.H) + d));
  }
  void* data() {
    return format == NumberFormat::float32 ? static_cast<void*>(floats.data()) : static_cast<void*>(halves.data());
  }
  AttentionInput in() { return {data(), at.batch_stride, at.row_stride, at.head_stride}; }
  AttentionOutput out() { return {data(), at.batch_stride, at.row_stride, at.head_stride}; }
  Heads heads() {
    Heads x = at;
    x.data = data();
    return x;
  }
  definitions::Values values() const {
    definitions::Values all;
    each([&](std::size_t e) {
      all.push_back(format == NumberFormat::float32 ? floats[e] : float_from_bfloat16(halves[e]));
    });
    return all;
  }
};

struct Operands {
  Operand q, k, v, out, dout, dq, dk, dv;
  std::vector<float> lse;
  Operands(const SparseAttentionShape& s, Order order)
      : q(s, s.Dq, order, 1),
        k(s, s.Dq, order, 2),
        v(s, s.Dv, order, 3),
        out(s, s.Dv, order, 4),
        dout(s, s.Dv, order, 5),
        dq(s, s.Dq, order, 6),
        dk(s, s.Dq, order, 7),
        dv(s, s.Dv, order, 8),
        lse(static_cast<std::size_t>(s.B * s.H * s.T), NAN) {}
  void forward(SparseAttention& attention) { attention.forward(q.in(), k.in(), v.in(), out.out(), lse.data()); }
  void backward(SparseAttention& attention) {
    attention.backward(q.in(), k.in(), v.in(), out.in(), lse.data(), dout.in(), dq.out(), dk.out(), dv.out());
  }
};

SparseAttentionShape shape_of(const std::vector<std::string>& heads, std::int64_t B, std::int64_t T, std::int64_t Dq,
                              std::int64_t Dv, NumberFormat format) {
  SparseAttentionShape shape;
  shape.B = B, shape.T = T, shape.H = static_cast<std::int64_t>(heads.size()), shape.Dq = Dq, shape.Dv = Dv;
  shape.format = format;
  for (const std::string& text : heads) shape.patterns.push_back(parse_pattern(text));
  return shape;
}

// What the definitions say of the same numbers.
struct Defined {
  std::vector<Tiling> tilings;
  std::vector<const Tiling*> pointers;
  AttentionBackward op;
  Defined(const SparseAttentionShape& s, Operands& x) {
    for (std::int64_t h = 0; h < s.H; ++h)
      tilings.emplace_back(for_head(s.patterns[s.patterns.size() == 1 ? 0 : static_cast<std::size_t>(h)], h), s.T);
    for (const Tiling& tiling : tilings) pointers.push_back(&tiling);
    Attention& f = op.forward;
    f.B = s.B, f.T = s.T, f.H = s.H, f.tilings = pointers.data();
    f.scale = s.scale > 0 ? s.scale : 1 / std::sqrt(static_cast<float>(s.Dq));
    f.q = x.q.heads(), f.k = x.k.heads(), f.v = x.v.heads();
    op.dout = x.dout.heads();
  }
};

constexpr NumberFormat kFormats[] = {NumberFormat::float32, NumberFormat::bfloat16};
constexpr Order kOrders[] = {Order::by_position, Order::by_head, Order::apart};

// Numbers lie in [-1, 1], outputs are averages of them and gradients sums of at most T: float32 keeps 2^-24 a step of
// some hundreds; bfloat16 rounds outputs and the weights that multiply, 2^-8 each.
void expect_defined(const SparseAttentionShape& shape, Order order) {
  Operands x(shape, order);
  SparseAttention attention(shape);
  x.forward(attention);
  x.backward(attention);
  const Defined defined(shape, x);
  const definitions::AttentionValues wanted = definitions::attention(defined.op.forward);
  const definitions::AttentionGradients gradients = definitions::attention_backward(defined.op);
  const double absolute = shape.format == NumberFormat::float32 ? 4e-5 : 0.02;
  const double relative = shape.format == NumberFormat::float32 ? 1e-5 : 0.02;
  tests::expect_close(x.out.values(), wanted.out, absolute, relative, "out");
  tests::expect_close(x.dq.values(), gradients.dq, absolute, relative, "dq");
  tests::expect_close(x.dk.values(), gradients.dk, absolute, relative, "dk");
  tests::expect_close(x.dv.values(), gradients.dv, absolute, relative, "dv");
  for (std::size_t i = 0; i < x.lse.size(); ++i) {  // -inf is -inf
    if (static_cast<double>(x.lse[i]) == wanted.lse[i]) continue;
    ASSERT_LE(std::abs(x.lse[i] - wanted.lse[i]), 1e-4) << i;
  }
}

TEST(SparseAttention, EqualsItsDefinitionForEveryLayoutAndFormat) {
  for (const NumberFormat format : kFormats)
    for (const Order order : kOrders) {
      expect_defined(shape_of({"strided(16)", "fixed(32,8)", "window(9)"}, 2, 210, 20, 33, format), order);
      expect_defined(shape_of({"column(9)", "summary(16,2)"}, 1, 130, 33, 16, format), order);
      expect_defined(shape_of({"dense"}, 1, 1, 1, 1, format), order);
    }
}

TEST(SparseAttention, GivesOnePatternToAllHeadsAndSpreadsItsSummaries) {
  SparseAttentionShape shape = shape_of({"fixed(32,8)", "dense", "dense", "dense"}, 1, 150, 16, 16, kFormats[0]);
  shape.patterns.resize(1);
  shape.scale = 0.5f;
  expect_defined(shape, Order::by_head);
}

TEST(SparseAttention, GradientIsTheSlopeAlongARandomDirection) {
  const SparseAttentionShape shape = shape_of({"strided(8)", "fixed(16,4)"}, 1, 60, 8, 12, NumberFormat::float32);
  Operands at(shape, Order::by_head);
  const Operands toward(shape, Order::by_position);  // its dq, dk and dv, which hold random numbers
  SparseAttention attention(shape);
  at.forward(attention);
  at.backward(attention);
  const auto dot = [](const definitions::Values& a, const definitions::Values& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  const definitions::Values q = toward.dq.values(), k = toward.dk.values(), v = toward.dv.values();
  const double slope = dot(at.dq.values(), q) + dot(at.dk.values(), k) + dot(at.dv.values(), v);
  const auto loss = [&](double step) {
    Operands moved = at;
    const auto move = [&](Operand& x, const definitions::Values& by) {
      std::size_t i = 0;
      x.each([&](std::size_t e) { x.floats[e] += static_cast<float>(step * by[i++]); });
    };
    move(moved.q, q), move(moved.k, k), move(moved.v, v);
    moved.forward(attention);
    return dot(moved.out.values(), at.dout.values());
  };
  const double step = 1e-2;  // float32 outputs lose 1e-7 of it, the third derivative about step^2
  EXPECT_NEAR((loss(step) - loss(-step)) / (2 * step), slope, 2e-3 * (1 + std::abs(slope)));
}

TEST(SparseAttention, GivesTheSameBitsForAnyNumberOfThreadsAndLeavesTheProcessAlone) {
  const int before = machine_info().threads;
  SparseAttentionShape shape = shape_of({"strided(16)", "fixed(32,8)", "dense"}, 2, 333, 16, 20, kFormats[1]);
  std::vector<definitions::Values> results;
  for (const int threads : {1, 2, 3, 0}) {
    shape.threads = threads;
    SparseAttention attention(shape);
    Operands x(shape, Order::apart);
    for (int run = 0; run < 2; ++run) x.forward(attention), x.backward(attention);
    for (const Operand* result : {&x.out, &x.dq, &x.dk, &x.dv}) results.push_back(result->values());
  }
  for (std::size_t i = 4; i < results.size(); ++i) EXPECT_EQ(results[i], results[i % 4]);
  EXPECT_EQ(machine_info().threads, before);
}

TEST(SparseAttention, OfTwoThreadsWithAnObjectEachDisturbsNeither) {
  const SparseAttentionShape shapes[] = {shape_of({"strided(16)", "window(20)"}, 1, 300, 16, 16, kFormats[0]),
                                         shape_of({"fixed(32,8)", "column(7)"}, 1, 333, 20, 24, kFormats[1])};
  const auto run = [&](int which, int times) {
    Operands x(shapes[which], Order::by_head);
    SparseAttention attention(shapes[which]);
    for (int i = 0; i < times; ++i) x.forward(attention), x.backward(attention);
    return std::vector{x.out.values(), x.dq.values(), x.dk.values(), x.dv.values()};
  };
  std::vector<definitions::Values> got[2];
  std::thread first([&] { got[0] = run(0, 20); }), second([&] { got[1] = run(1, 20); });
  first.join();
  second.join();
  for (const int which : {0, 1}) EXPECT_EQ(got[which], run(which, 1));
}

TEST(SparseAttention, SaysWhatScratchItKeeps) {
  const SparseAttentionShape shape = shape_of({"strided(16)"}, 1, 333, 16, 16, kFormats[1]);
  SparseAttention attention(shape);
  Operands x(shape, Order::by_head);
  const std::int64_t made = attention.scratch_bytes();
  EXPECT_GT(made, 0);
  x.forward(attention);
  EXPECT_EQ(attention.scratch_bytes(), made);  // what the forward pass needs is there from the start
  x.backward(attention);
  EXPECT_GT(attention.scratch_bytes(), made);
}

TEST(SparseAttention, SaysWhatAShapeCannotBe) {
  const SparseAttentionShape good = shape_of({"dense", "dense"}, 1, 10, 4, 4, kFormats[0]);
  const auto refused = [&](const std::function<void(SparseAttentionShape&)>& spoil, const std::string& sentence) {
    SparseAttentionShape shape = good;
    spoil(shape);
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { SparseAttention attention(shape); }), sentence);
  };
  using S = SparseAttentionShape;
  refused([](S& s) { s.B = 0; }, "sparse_attention: B must be in [1, 1048576], got 0");
  refused([](S& s) { s.T = 0; }, "sparse_attention: T must be in [1, 2147483648], got 0");
  refused([](S& s) { s.T = std::int64_t{1} << 62; },
          "sparse_attention: T must be in [1, 2147483648], got 4611686018427387904");
  refused([](S& s) { s.B = 1 << 20; }, "sparse_attention: B * H must be in [1, 1048576], got 2097152");
  refused([](S& s) { s.format = static_cast<NumberFormat>(7); },
          "sparse_attention: format must be float32 or bfloat16");
  refused([](S& s) { s.H = -1; }, "sparse_attention: H must be in [1, 1048576], got -1");
  refused([](S& s) { s.Dq = 0; }, "sparse_attention: Dq must be in [1, 256], got 0");
  refused([](S& s) { s.Dv = 257; }, "sparse_attention: Dv must be in [1, 256], got 257");
  refused([](S& s) { s.H = 3; }, "sparse_attention: needs one pattern, or one for each of 3 heads, got 2");
  refused([](S& s) { s.scale = -1; }, "sparse_attention: scale must be above 0, or 0 for 1 / sqrt(Dq), got -1");
  refused([](S& s) { s.scale = NAN; }, "sparse_attention: scale must be above 0, or 0 for 1 / sqrt(Dq), got nan");
  refused([](S& s) { s.threads = -1; }, "sparse_attention: threads must be in [0, 2147483647], got -1");
  S shape = good;
  shape.patterns[1].parts[0] = {Primitive::window, 0};
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { SparseAttention attention(shape); }), "");
}

TEST(SparseAttention, SaysWhichOperandDoesNotFit) {
  const SparseAttentionShape shape = shape_of({"dense", "dense"}, 2, 10, 4, 6, kFormats[0]);
  SparseAttention attention(shape);
  Operands x(shape, Order::by_position);
  const auto forward = [&](AttentionInput q, AttentionInput k, AttentionInput v, AttentionOutput out, float* lse) {
    return error_words(ErrorKind::invalid_argument, [&] { attention.forward(q, k, v, out, lse); });
  };
  const AttentionInput q = x.q.in(), k = x.k.in(), v = x.v.in();
  EXPECT_EQ(forward(q, {}, v, x.out.out(), x.lse.data()), "sparse_attention: k has no memory");
  EXPECT_EQ(forward(q, k, v, x.out.out(), nullptr), "sparse_attention: lse has no memory");
  AttentionInput close = q;
  close.row_stride = 3;
  EXPECT_EQ(forward(close, k, v, x.out.out(), x.lse.data()),
            "sparse_attention: q needs a row stride of at least 4, got 3");
  close = v, close.head_stride = 0;
  EXPECT_EQ(forward(q, k, close, x.out.out(), x.lse.data()),
            "sparse_attention: v needs a head stride of at least 6, got 0");
  close = k, close.batch_stride = -4;
  EXPECT_EQ(forward(q, close, v, x.out.out(), x.lse.data()),
            "sparse_attention: k needs a batch stride of at least 4, got -4");
  AttentionOutput upon = x.out.out();
  upon.row_stride = upon.head_stride = 6;  // as if heads and positions lay upon one another
  EXPECT_EQ(forward(q, k, v, upon, x.lse.data()), "sparse_attention: out needs a head stride of at least 60, got 6");
  upon.row_stride = 7;
  EXPECT_EQ(forward(q, k, v, upon, x.lse.data()), "sparse_attention: out needs a row stride of at least 12, got 7");
  EXPECT_EQ(
      error_words(
          ErrorKind::invalid_argument,
          [&] { attention.backward(q, k, v, x.out.in(), x.lse.data(), x.dout.in(), x.dq.out(), x.dk.out(), {}); }),
      "sparse_attention: dv has no memory");
}

}  // namespace
}  // namespace longstride
