// AdamW, the sum of squares and the copy in bfloat16.
#include <gtest/gtest.h>

#include "every_isa.h"
#include "ops/ops.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t kCounts[] = {1, 7, 16, 33, 4095, 4096, 4097, 10000};  // around vectors and chunks

TEST(AdamW, IsItsDefinitionOnEveryInstructionSet) {
  const auto backend = make_cpu_backend();
  for_every_isa([&](const std::string& isa) {
    for (const std::int64_t count : kCounts) {
      const std::vector<float> w0 = random_floats(count, 1), m0 = random_floats(count, 2), dw = random_floats(count, 4);
      std::vector<float> v0 = random_floats(count, 3), ema0 = random_floats(count, 5);
      for (float& v : v0) v = v * v;
      std::vector<float> w = w0, m = m0, v = v0, ema = ema0;
      std::vector<std::uint16_t> copy(w.size());
      AdamW op{count, w.data(), m.data(), v.data(), dw.data(), ema.data(), copy.data(), 0.5f,
               0.01f, 0.9f,     0.999f,   1e-3f,    0.01f,     0.99f,      0.4f,        0.3f};
      const definitions::AdamWValues want = definitions::adamw(op);
      const std::string what = "adamw " + isa + " " + std::to_string(count);
      const definitions::Values got = same_for_any_threads(what, [&] {
        w = w0, m = m0, v = v0, ema = ema0;
        adamw(*backend, op);
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
  const auto backend = make_cpu_backend();
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
      AdamW op{count, w.data(), m.data(), v.data(), dw.data(), ema.data(), nullptr, 0.5f,
               0.01f, 0.9f,     0.999f,   1e-3f,    0.01f,     0.99f,      0.4f,    0.3f};
      op.row = row;
      const definitions::AdamWValues want = definitions::adamw(op);
      const std::string what = "adamw by rows " + isa + " " + std::to_string(row);
      const definitions::Values got = same_for_any_threads(what, [&] {
        w = w0, m = m0, v = v0, ema = ema0;
        adamw(*backend, op);
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
  const auto backend = make_cpu_backend();
  std::vector<float> w = {1}, m = {0}, v = {0}, dw = {2};
  AdamW op{1, w.data(), m.data(), v.data(), dw.data(), nullptr, nullptr, 1, 0.1f, 0.9f, 0.999f, 0, 0, 0, 0.1f, 0.001f};
  adamw(*backend, op);
  EXPECT_NEAR(w[0], 0.9f, 1e-6f);  // the first step is the rate, whatever the gradient
}

TEST(SumSquares, IsTheSameForAnyThreadsAndInstructionSet) {
  const auto backend = make_cpu_backend();
  for (const std::int64_t count : kCounts) {
    const std::vector<float> x = random_floats(count, 9);
    const double want = definitions::sum_squares(x.data(), count);
    definitions::Values all;
    for_every_isa([&](const std::string& isa) {
      all.push_back(
          same_for_any_threads(isa, [&] { return definitions::Values{backend->sum_squares(x.data(), count)}; })[0]);
    });
    for (const double got : all) {
      EXPECT_EQ(got, all[0]);
      EXPECT_NEAR(got, want, want * 1e-13);  // count * 2^-53, relative: the terms are exact and not negative
    }
  }
}

TEST(SumSquares, IsNotFiniteWhereAnElementIsNot) {
  const auto backend = make_cpu_backend();
  for_every_isa([&](const std::string&) {
    for (const std::int64_t at : {0, 4095, 4096, 4999}) {
      std::vector<float> x(5000, 1.0f);
      EXPECT_EQ(backend->sum_squares(x.data(), 5000), 5000.0);
      x[static_cast<std::size_t>(at)] = NAN;
      EXPECT_TRUE(std::isnan(backend->sum_squares(x.data(), 5000)));
      x[static_cast<std::size_t>(at)] = -INFINITY;
      EXPECT_TRUE(std::isinf(backend->sum_squares(x.data(), 5000)));
      x[static_cast<std::size_t>(at)] = 3e38f;  // its square is beyond float32
      EXPECT_TRUE(std::isfinite(backend->sum_squares(x.data(), 5000)));
    }
  });
}

TEST(ToBfloat16, RoundsToNearestEvenAndKeepsNotANumber) {
  const auto backend = make_cpu_backend();
  std::vector<float> x = random_floats(5000, 1);
  const std::uint32_t odd[] = {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu, 0x7f7fffffu, 0x7f800000u,
                               0xff800000u, 0x7f800001u, 0xffffffffu, 0x00000001u, 0x80000000u, 0x0000ffffu};
  for (std::size_t i = 0; i < std::size(odd); ++i) x[i * 7] = std::bit_cast<float>(odd[i]);
  for_every_isa([&](const std::string& isa) {
    for (const std::int64_t count : {1, 15, 17, 5000}) {
      std::vector<std::uint16_t> y(5000, 0x1234);
      backend->to_bfloat16(x.data(), y.data(), count);
      for (std::int64_t i = 0; i < 5000; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(y[at], i < count ? bfloat16_from_float(x[at]) : 0x1234) << isa << " element " << i;
      }
    }
  });
}

}  // namespace
}  // namespace longstride::tests
