// These tests hold AdamW against its definition: whole arrays, rows, and updates that must not be made.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(AdamWOperation);

constexpr std::int64_t kUpdateCounts[] = {1, 7, 16, 33, 4095, 4096, 4097, 10000};  // around vectors and chunks

const StepInputs kUpdateInputs{.rate = 0.01f, .correction1 = 0.4f, .correction2 = 0.3f};

struct AdamWCase {
  std::vector<float> w, m, v, dw, ema, scale = {0.5f};
  std::vector<std::uint16_t> copy;
  explicit AdamWCase(std::int64_t count)
      : w(random_floats(count, 1)),
        m(random_floats(count, 2)),
        v(random_floats(count, 3)),
        dw(random_floats(count, 4)),
        ema(random_floats(count, 5)),
        copy(w.size()) {
    for (float& x : v) x = x * x;
    for (std::size_t i = 0; i < w.size(); ++i) copy[i] = bfloat16_from_float(w[i]);
  }
  AdamW op() {
    AdamW op;
    op.w = array_of(w), op.m = array_of(m), op.v = array_of(v), op.dw = array_of(dw), op.ema = array_of(ema);
    op.copy = array_of(copy), op.scale = array_of(scale);
    op.beta1 = 0.9f, op.beta2 = 0.999f, op.epsilon = 1e-3f, op.decay = 0.01f, op.ema_decay = 0.99f;
    return op;
  }
};

void expect_updated(const AdamWCase& got, const definitions::AdamWValues& want, const std::string& what) {
  // Below 16 roundings of values below 4: the step has |m| / correction1 / sqrt(v / correction2) <= 2.5 / 1e-3 at
  // v = 0, times rate 25; relative to the step.
  expect_close(as_values(got.w), want.w, 16 * 0x1p-24 * 25, 1e-5, what + " w");
  expect_close(as_values(got.m), want.m, 4 * 0x1p-24, 0, what + " m");
  expect_close(as_values(got.v), want.v, 4 * 0x1p-24, 0, what + " v");
  expect_close(as_values(got.ema), want.ema, 16 * 0x1p-24 * 25, 1e-5, what + " ema");
}

TEST_P(AdamWOperation, IsItsDefinition) {
  every_way([&](const std::string& way) {
    for (const std::int64_t count : kUpdateCounts) {
      AdamWCase start(count), t = start;
      const std::string what = "adamw " + way + " " + std::to_string(count);
      same_for_any_threads(what, [&] {
        t = start;
        run(t.op(), kUpdateInputs);
        return as_values(t.w);
      });
      expect_updated(t, definitions::adamw(start.op(), kUpdateInputs), what);
      for (std::size_t i = 0; i < t.w.size(); ++i) ASSERT_EQ(t.copy[i], bfloat16_from_float(t.w[i])) << what;
    }
  });
}

TEST_P(AdamWOperation, ByRowsLeavesRowsWithoutAGradientAlone) {
  every_way([&](const std::string& way) {
    for (const std::int64_t row : {1, 17, 64}) {
      const std::int64_t rows = 40, count = rows * row;
      AdamWCase start(count);
      for (float& v : start.v) v += 0.1f;
      for (std::int64_t i = 0; i < count; ++i)
        if (i / row % 3 != 0) start.dw[static_cast<std::size_t>(i)] = i % 2 == 0 ? 0.0f : -0.0f;
      start.dw[static_cast<std::size_t>(2 * row - 1)] = 0x1p-149f;  // the least there is, in a row of zeros: it moves
      AdamWCase t = start;
      const auto op_of = [&](AdamWCase& of) {
        AdamW op = of.op();
        op.copy = {}, op.row = row;
        return op;
      };
      const std::string what = "adamw by rows " + way + " " + std::to_string(row);
      same_for_any_threads(what, [&] {
        t = start;
        run(op_of(t), kUpdateInputs);
        return as_values(t.w);
      });
      expect_updated(t, definitions::adamw(op_of(start), kUpdateInputs), what);
      const auto second = static_cast<std::size_t>(row), third = static_cast<std::size_t>(2 * row);
      EXPECT_TRUE(std::equal(start.w.begin() + 2 * row, start.w.begin() + 3 * row, t.w.begin() + 2 * row)) << what;
      EXPECT_EQ(t.v[third], start.v[third]) << what;  // its gradient is 0
      EXPECT_NE(t.m[second], start.m[second]) << what;
    }
  });
}

TEST_P(AdamWOperation, DoesWithoutAnAverageAndACopy) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    std::vector<float> w = {1}, m = {0}, v = {0}, dw = {2}, scale = {1};
    AdamW op;
    op.w = array_of(w), op.m = array_of(m), op.v = array_of(v), op.dw = array_of(dw), op.scale = array_of(scale);
    op.beta1 = 0.9f, op.beta2 = 0.999f;
    StepInputs inputs;
    inputs.rate = 0.1f, inputs.correction1 = 0.1f, inputs.correction2 = 0.001f;
    run(op, inputs);
    EXPECT_NEAR(w[0], 0.9f, 1e-6f);  // the first step is the rate, whatever the gradient
  });
}

// Memory that a skipped update may not touch, bit for bit, whatever it holds.
TEST_P(AdamWOperation, ChangesNothingWhereTheScaleIsNotFinite) {
  every_way([&](const std::string& way) {
    for (const float scale : {NAN, INFINITY, -INFINITY}) {
      for (const std::int64_t row : {0, 17}) {
        AdamWCase start(17 * 300);
        start.scale = {scale};
        start.dw[40] = NAN;
        start.copy[3] = 0x1234;
        AdamWCase t = start;
        AdamW op = t.op();
        op.row = row;
        run(op, kUpdateInputs);
        const std::string what = way + " scale " + std::to_string(scale);
        EXPECT_EQ(t.w, start.w) << what;
        EXPECT_EQ(t.m, start.m) << what;
        EXPECT_EQ(t.v, start.v) << what;
        EXPECT_EQ(t.ema, start.ema) << what;
        EXPECT_EQ(t.copy, start.copy) << what;
      }
    }
  });
}

// The scale comes from memory that an operation before has written: one program, and nothing on the host between.
TEST_P(AdamWOperation, IsSkippedByAGradientThatIsNotFinite) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    for (const float bad : {1.0f, NAN, INFINITY}) {
      AdamWCase start(5000), t = start;
      t.dw[4999] = start.dw[4999] = bad;
      std::vector<double> norm = {0};
      GradientNorm of_gradient;
      std::vector<double> squares(2);
      of_gradient.squares = array_of(squares), of_gradient.norm = array_of(norm), of_gradient.scale = array_of(t.scale);
      of_gradient.clip = 1;
      run({SquareSums{array_of(t.dw), array_of(squares)}, of_gradient, t.op()}, kUpdateInputs);
      EXPECT_EQ(t.w == start.w, !std::isfinite(bad)) << bad;
      EXPECT_EQ(t.m == start.m, !std::isfinite(bad)) << bad;
      EXPECT_EQ(std::isnan(t.scale[0]), !std::isfinite(bad)) << bad;
    }
  });
}

}  // namespace
}  // namespace longstride::tests
