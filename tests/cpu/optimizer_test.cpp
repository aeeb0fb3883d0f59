// AdamW, the sum of squares and the copy in bfloat16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "every_isa.h"
#include "ops/array_of.h"
#include "ops/ops.h"

namespace longstride::tests {

using namespace cpu;
namespace {

constexpr std::int64_t kCounts[] = {1, 7, 16, 33, 4095, 4096, 4097, 10000};  // around vectors and chunks

const StepInputs kInputs{.rate = 0.01f, .correction1 = 0.4f, .correction2 = 0.3f};
const std::vector<float> kScale = {0.5f};

// Norm and scale of a gradient.
GradientNorm norm_of(const std::vector<float>& x, std::int64_t count, double clip, std::vector<double>& norm,
                     std::vector<float>& scale) {
  norm.assign(1, -1), scale.assign(1, -1);
  return {of(x).from(0, count), {}, clip, of(norm), of(scale)};
}
double norm_now(Backend& backend, const std::vector<float>& x, std::int64_t count) {
  std::vector<double> norm;
  std::vector<float> scale;
  run_once(backend, norm_of(x, count, 0, norm, scale));
  return norm[0];
}

TEST(AdamW, IsItsDefinitionOnEveryInstructionSet) {
  const auto backend = make_backend(Device::cpu);
  for_every_isa([&](const std::string& isa) {
    for (const std::int64_t count : kCounts) {
      const std::vector<float> w0 = random_floats(count, 1), m0 = random_floats(count, 2), dw = random_floats(count, 4);
      std::vector<float> v0 = random_floats(count, 3), ema0 = random_floats(count, 5);
      for (float& v : v0) v = v * v;
      std::vector<float> w = w0, m = m0, v = v0, ema = ema0;
      std::vector<std::uint16_t> copy(w.size());
      const AdamW op{of(w), of(m), of(v), of(dw), of(ema), of(copy), of(kScale), 0.9f, 0.999f, 1e-3f, 0.01f, 0.99f};
      const definitions::AdamWValues want = definitions::adamw(op, kInputs);
      const std::string what = "adamw " + isa + " " + std::to_string(count);
      const definitions::Values got = same_for_any_threads(what, [&] {
        w = w0, m = m0, v = v0, ema = ema0;
        run_once(*backend, op, kInputs);
        return as_values(w);
      });
      // Below 16 roundings of values below 4: the step has |m| / correction1 / sqrt(v / correction2) <= 2.5 / 1e-3
      // at v = 0, times rate 25; relative to the step.
      expect_close(got, want.w, 16 * 0x1p-24 * 25, 1e-5, what + " w");
      expect_close(as_values(m), want.m, 4 * 0x1p-24, 0, what + " m");
      expect_close(as_values(v), want.v, 4 * 0x1p-24, 0, what + " v");
      expect_close(as_values(ema), want.ema, 16 * 0x1p-24 * 25, 1e-5, what + " ema");
      for (std::size_t i = 0; i < w.size(); ++i) ASSERT_EQ(copy[i], bfloat16_from_float(w[i])) << what;
    }
  });
}

TEST(AdamW, ByRowsLeavesRowsWithoutAGradientAlone) {
  const auto backend = make_backend(Device::cpu);
  for_every_isa([&](const std::string& isa) {
    for (const std::int64_t row : {1, 17, 64}) {
      const std::int64_t rows = 40, count = rows * row;
      const std::vector<float> w0 = random_floats(count, 1), m0 = random_floats(count, 2);
      std::vector<float> v0 = random_floats(count, 3), ema0 = random_floats(count, 5), dw = random_floats(count, 4);
      for (float& v : v0) v = v * v + 0.1f;
      for (std::int64_t i = 0; i < count; ++i)
        if (i / row % 3 != 0) dw[static_cast<std::size_t>(i)] = i % 2 == 0 ? 0.0f : -0.0f;
      dw[static_cast<std::size_t>(2 * row - 1)] = 0x1p-149f;  // the least there is, in a row of zeros: the row moves
      std::vector<float> w = w0, m = m0, v = v0, ema = ema0;
      AdamW op{of(w), of(m), of(v), of(dw), of(ema), {}, of(kScale), 0.9f, 0.999f, 1e-3f, 0.01f, 0.99f};
      op.row = row;
      const definitions::AdamWValues want = definitions::adamw(op, kInputs);
      const std::string what = "adamw by rows " + isa + " " + std::to_string(row);
      const definitions::Values got = same_for_any_threads(what, [&] {
        w = w0, m = m0, v = v0, ema = ema0;
        run_once(*backend, op, kInputs);
        return as_values(w);
      });
      expect_close(got, want.w, 16 * 0x1p-24 * 25, 1e-5, what + " w");
      expect_close(as_values(m), want.m, 4 * 0x1p-24, 0, what + " m");
      expect_close(as_values(v), want.v, 4 * 0x1p-24, 0, what + " v");
      expect_close(as_values(ema), want.ema, 16 * 0x1p-24 * 25, 1e-5, what + " ema");
      const auto third = static_cast<std::size_t>(2 * row);  // its gradient is 0
      EXPECT_TRUE(std::equal(w0.begin() + 2 * row, w0.begin() + 3 * row, w.begin() + 2 * row)) << what;
      EXPECT_EQ(v[third], v0[third]) << what;
      EXPECT_NE(m[static_cast<std::size_t>(row)], m0[static_cast<std::size_t>(row)]) << what;
    }
  });
}

TEST(AdamW, DoesWithoutAnAverageAndACopy) {
  const auto backend = make_backend(Device::cpu);
  std::vector<float> w = {1}, m = {0}, v = {0}, dw = {2};
  const std::vector<float> scale = {1};
  const AdamW op{of(w), of(m), of(v), of(dw), {}, {}, of(scale), 0.9f, 0.999f, 0, 0, 0};
  run_once(*backend, op, {.rate = 0.1f, .correction1 = 0.1f, .correction2 = 0.001f});
  EXPECT_NEAR(w[0], 0.9f, 1e-6f);  // the first step is the rate, whatever the gradient
}

TEST(AdamW, ChangesNothingWhereTheScaleIsNotFinite) {
  const auto backend = make_backend(Device::cpu);
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> w = {1}, m = {2}, v = {3}, ema = {4};
    const std::vector<float> dw = {2}, scale = {bad};
    for (const std::int64_t row : {0, 1}) {
      AdamW op{of(w), of(m), of(v), of(dw), of(ema), {}, of(scale), 0.9f, 0.999f, 1e-8f, 0.1f, 0.9f};
      op.row = row;
      run_once(*backend, op, kInputs);
      EXPECT_EQ(w[0], 1);
      EXPECT_EQ(m[0], 2);
      EXPECT_EQ(v[0], 3);
      EXPECT_EQ(ema[0], 4);
    }
  }
}

TEST(GradientNorm, IsTheSameForAnyThreadsAndInstructionSet) {
  const auto backend = make_backend(Device::cpu);
  for (const std::int64_t count : kCounts) {
    const std::vector<float> x = random_floats(count, 9);
    std::vector<double> norm;
    std::vector<float> scale;
    const double want = definitions::gradient_norm(norm_of(x, count, 0, norm, scale)).norm;
    definitions::Values all;
    for_every_isa([&](const std::string& isa) {
      all.push_back(same_for_any_threads(isa, [&] { return definitions::Values{norm_now(*backend, x, count)}; })[0]);
    });
    for (const double got : all) {
      EXPECT_EQ(got, all[0]);
      EXPECT_NEAR(got, want, want * 1e-13);  // count * 2^-53, relative: the terms are exact and not negative
    }
  }
}

TEST(GradientNorm, ScalesDownToTheClipAndNoFurther) {
  const auto backend = make_backend(Device::cpu);
  const std::vector<float> x = {3, 4};
  std::vector<double> norm;
  std::vector<float> scale;
  for (const auto& [clip, want] :
       {std::pair(0.0, 1.0f), std::pair(2.0, 0.4f), std::pair(5.0, 1.0f), std::pair(9.0, 1.0f)}) {
    const GradientNorm op = norm_of(x, 2, clip, norm, scale);
    run_once(*backend, op);
    EXPECT_EQ(norm[0], 5) << clip;
    EXPECT_EQ(scale[0], want) << clip;
    EXPECT_NEAR(scale[0], definitions::gradient_norm(op).scale, 1e-7) << clip;
  }
}

TEST(GradientNorm, IsNotFiniteWhereAnElementIsNotAndThenHasNoScale) {
  const auto backend = make_backend(Device::cpu);
  for_every_isa([&](const std::string&) {
    for (const std::int64_t at : {0, 4095, 4096, 4999}) {
      std::vector<float> x(5000, 1.0f);
      EXPECT_EQ(norm_now(*backend, x, 5000), std::sqrt(5000.0));
      for (const float bad : {NAN, -INFINITY}) {
        x[static_cast<std::size_t>(at)] = bad;
        std::vector<double> norm;
        std::vector<float> scale;
        run_once(*backend, norm_of(x, 5000, 1, norm, scale));
        EXPECT_FALSE(std::isfinite(norm[0]));
        EXPECT_TRUE(std::isnan(scale[0]));
      }
      x[static_cast<std::size_t>(at)] = 3e38f;  // its square is beyond float32
      EXPECT_TRUE(std::isfinite(norm_now(*backend, x, 5000)));
    }
  });
}

TEST(GradientNorm, HasNoScaleWhereTheLossIsNotFinite) {
  const auto backend = make_backend(Device::cpu);
  const std::vector<float> x = {3, 4};
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    std::vector<double> norm, bits = {bad};
    std::vector<float> scale;
    GradientNorm op = norm_of(x, 2, 1, norm, scale);
    op.bits = of(bits);
    run_once(*backend, op);
    EXPECT_EQ(norm[0], 5);
    EXPECT_TRUE(std::isnan(scale[0]));
  }
}

TEST(SumBits, AddsNatsAsBits) {
  const auto backend = make_backend(Device::cpu);
  const std::vector<float> losses = random_floats(1000, 3);
  std::vector<double> sum = {7};
  const SumBits op{of(losses), of(sum)};
  const double want = 7 + definitions::sum_bits(op);
  run_once(*backend, op);
  EXPECT_NEAR(sum[0], want, 1000 * 0x1p-24 * 1.5);  // each is rounded to float32, below 1.5
}

TEST(Exchange, TradesAndZeroClears) {
  const auto backend = make_backend(Device::cpu);
  const std::vector<float> a0 = random_floats(9000, 1), b0 = random_floats(9000, 2);
  std::vector<float> a = a0, b = b0;
  run_once(*backend, Exchange{of(a), of(b)});
  EXPECT_EQ(a, b0);
  EXPECT_EQ(b, a0);
  run_once(*backend, Zero{of(a).from(0, 5000)});
  EXPECT_EQ(std::count(a.begin(), a.begin() + 5000, 0.0f), 5000);
  EXPECT_TRUE(std::equal(a.begin() + 5000, a.end(), b0.begin() + 5000));
}

TEST(Round, RoundsToNearestEvenAndKeepsNotANumber) {
  const auto backend = make_backend(Device::cpu);
  std::vector<float> x = random_floats(5000, 1);
  const std::uint32_t odd[] = {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu, 0x7f7fffffu, 0x7f800000u,
                               0xff800000u, 0x7f800001u, 0xffffffffu, 0x00000001u, 0x80000000u, 0x0000ffffu};
  for (std::size_t i = 0; i < std::size(odd); ++i) x[i * 7] = std::bit_cast<float>(odd[i]);
  for_every_isa([&](const std::string& isa) {
    for (const std::int64_t count : {1, 15, 17, 5000}) {
      std::vector<std::uint16_t> y(5000, 0x1234);
      run_once(*backend, Round{of(x).from(0, count), of(y).from(0, count)});
      for (std::int64_t i = 0; i < 5000; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(y[at], i < count ? bfloat16_from_float(x[at]) : 0x1234) << isa << " element " << i;
      }
    }
  });
}

}  // namespace
}  // namespace longstride::tests
