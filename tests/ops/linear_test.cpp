// These tests hold linear and its backward twins against their definitions.
#include <gtest/gtest.h>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(LinearOperation);

struct Size {
  std::int64_t N, K, M;
};
// Around the few-rows kernel (8), the vectors (8, 16), oneDNN's blocks the chunks of 64 and 1024 rows, and segments of
// those.
const Size kSizes[] = {{1, 1, 1},    {1, 33, 7},    {2, 64, 70},     {3, 5, 9},     {4, 16, 33},
                       {8, 200, 65}, {9, 7, 16},    {63, 33, 17},    {64, 32, 64},  {65, 16, 1},
                       {130, 1, 40}, {200, 65, 96}, {1030, 24, 300}, {3000, 5, 140}};

std::string name(const char* operation, const std::string& isa, DType type, const Size& s) {
  return std::string(operation) + " " + isa + " " + word(type) + " N " + std::to_string(s.N) + " K " +
         std::to_string(s.K) + " M " + std::to_string(s.M);
}

// variant: bit 0 bias, bit 1 activation, bit 2 pre kept.
using RunOne = std::function<void(const Operation&)>;
void check_forward(const RunOne& run, const std::string& isa, DType type, DType out, const Size& s, int variant) {
  HostMatrix x(type, s.N, s.K, 1, variant), w(type, s.M, s.K, 2), pre(type, s.N, s.M, 3), y(out, s.N, s.M, 4, variant);
  std::vector<float> bias = random_floats(s.M, 5);
  Linear op;
  op.x = x.view();
  op.w = w.view();
  op.y = y.view();
  if (variant & 1) op.bias = array_of(bias);
  if (variant & 2) op.activation = Activation::gelu_sigmoid;
  if (variant & 4) op.pre = pre.view();
  const std::string what = name("linear", isa, type, s) + " variant " + std::to_string(variant);
  const definitions::LinearValues want = definitions::linear(op);
  const definitions::Values got = same_for_any_threads(what, [&] {
    y.fill(7);
    run(op);
    return y.values();
  });
  // |x|, |w|, |bias| <= 1: a sum's products add up to at most K + 1. |f'| < 1.2 passes the error on, exp adds 1e-6 of
  // |f| < K + 1. The value is rounded when stored, and where the activation follows it was rounded before.
  const double bound = 1.2 * sum_bound(s.K + 1, static_cast<double>(s.K + 1)) + 1e-6 * static_cast<double>(s.K + 1);
  const DType inner = (variant & 4) != 0 ? type : out;
  double largest = 0;
  for (const double p : want.pre) largest = std::fmax(largest, std::abs(p));
  const bool twice = (variant & 6) != 0;
  expect_close(got, want.y, bound + (twice ? 1.2 * rounding(inner) * largest : 0), 2 * rounding(out), what);
  if (variant & 4) expect_close(pre.values(), want.pre, bound, 2 * rounding(type), what + " pre");
}

TEST_P(LinearOperation, IsItsDefinition) {
  const RunOne runs = [&](const Operation& op) { run(op); };
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const Size& s : kSizes) {
        for (const int variant : {0, 3, 5, 7}) check_forward(runs, isa, type, type, s, variant);
        if (type == DType::bfloat16) check_forward(runs, isa, type, DType::float32, s, 7);
      }
    }
  });
}

TEST_P(LinearOperation, GivesTheGradientOfItsInput) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const Size& s : kSizes) {
        for (const bool with_pre : {false, true}) {
          HostMatrix dy(type, s.N, s.M, 1, 3), w(type, s.M, s.K, 2), pre(type, s.N, s.K, 3), dx(type, s.N, s.K, 4, 1);
          LinearBackwardData op{dy.view(), w.view(), {}, dx.view()};
          if (with_pre) op.pre = pre.view();
          const std::string what = name("linear_backward_data", isa, type, s);
          const definitions::Values got = same_for_any_threads(what, [&] {
            run(op);
            return dx.values();
          });
          // As above with M products; the sum is rounded to A before f' is multiplied in, and after.
          const double bound = 1.2 * sum_bound(s.M, static_cast<double>(s.M)) + 1e-6 * static_cast<double>(s.M);
          expect_close(got, definitions::linear_backward_data(op), bound, 3 * rounding(type), what);
        }
      }
    }
  });
}

TEST_P(LinearOperation, AddsTheGradientsOfItsWeights) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const Size& s : kSizes) {
        HostMatrix dy(type, s.N, s.M, 1, 2), x(type, s.N, s.K, 2, 1), dw(DType::float32, s.M, s.K, 3);
        std::vector<float> dbias(static_cast<std::size_t>(s.M));
        const LinearBackwardWeights op{dy.view(), x.view(), dw.view(), array_of(dbias)};
        const std::string what = name("linear_backward_weights", isa, type, s);
        const definitions::Values got = same_for_any_threads(what, [&] {
          dw.fill(0.5f);
          dbias.assign(dbias.size(), 0.25f);
          run(op);
          definitions::Values both = dw.values();
          append(both, as_values(dbias));
          return both;
        });
        definitions::LinearGradients want = definitions::linear_backward_weights(op);
        for (double& v : want.dw) v += 0.5;
        for (double& v : want.dbias) v += 0.25;
        append(want.dw, want.dbias);
        expect_close(got, want.dw, sum_bound(s.N + 1, static_cast<double>(s.N + 1)), 0, what);
      }
    }
  });
}

TEST_P(LinearOperation, PassesNotANumberOn) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const std::int64_t N : {2, 70}) {
        HostMatrix x(type, N, 20, 1), w(type, 30, 20, 2), y(type, N, 30, 3);
        x.set(1, 13, NAN);
        Linear op;
        op.x = x.view();
        op.w = w.view();
        op.y = y.view();
        op.activation = Activation::gelu_sigmoid;
        run(op);
        const definitions::Values got = y.values();
        for (std::size_t m = 0; m < 30; ++m) {
          EXPECT_TRUE(std::isnan(got[30 + m])) << isa;
          EXPECT_FALSE(std::isnan(got[m])) << isa;
        }
      }
    }
  });
}

}  // namespace
}  // namespace longstride::tests
