// These tests give attention and the loss numbers and shapes at the edge of what can be computed, against the
// definition.
#include <gtest/gtest.h>

#include <limits>

#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/definitions.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

class Stress : public OnDevice {
 protected:
  const RunAll run_all = [this](std::vector<Operation> operations) { run(std::move(operations)); };

  // more: that every number may be off, absolutely.
  void check(const AttentionCase& c, double more = 0) {
    for (const DType type : kTypes) {
      AttentionResult bound;
      const AttentionResult wanted = define_attention(c, type, bound);
      for (std::vector<double>* errors : {&bound.out, &bound.dq, &bound.dk, &bound.dv})
        for (double& error : *errors) error += more;
      every_way([&](const std::string& way) {
        SCOPED_TRACE(way + " " + word(type) + " T " + std::to_string(c.T) + " D " + std::to_string(c.Dq));
        const AttentionResult got = run_attention(run_all, c, type);
        expect_all_within(got, wanted, bound);
        for (const std::vector<double>* values : {&got.out, &got.dq, &got.dk, &got.dv})
          for (const double value : *values) ASSERT_TRUE(std::isfinite(value));
      });
    }
  }
};
LONGSTRIDE_ON_EVERY_DEVICE(Stress);

const std::vector<std::string> kStressPatterns = {"dense", "strided(16)", "fixed(16,4)", "window(40)", "column(9)"};

// Scores of exactly +-10,000, which of them by position: weights are 0, 1, or shares among equals.
TEST_P(Stress, ScoresOfTenThousand) {
  AttentionCase c = attention_case(kStressPatterns, 1, 200, 5, 16, 20);
  c.scale = 1;
  for (std::int64_t row = 0; row < c.B * c.H * c.T; ++row) {
    std::fill_n(c.q.begin() + row * c.Dq, c.Dq, 0.0), std::fill_n(c.k.begin() + row * c.Dq, c.Dq, 0.0);
    c.q[static_cast<std::size_t>(row * c.Dq)] = row % 3 == 0 ? -80 : 80;
    c.k[static_cast<std::size_t>(row * c.Dq)] = row * 7 % 11 < 5 ? -125 : 125;
  }
  check(c);
}

TEST_P(Stress, ScoresThatAreAllEqual) {
  for (const double level : {0.0, 3.0, -100.0}) {
    AttentionCase c = attention_case(kStressPatterns, 2, 150, 5, 8, 9);
    std::fill(c.q.begin(), c.q.end(), 1.0);
    std::fill(c.k.begin(), c.k.end(), level);
    check(c);
  }
}

// One key of thousands among small ones takes all weight of some queries and none of others, wherever it stands.
TEST_P(Stress, OneHugeKey) {
  for (const std::int64_t at : {0, 63, 64, 149}) {
    AttentionCase c = attention_case(kStressPatterns, 1, 150, 5, 16, 16);
    for (std::int64_t h = 0; h < c.H; ++h)
      for (std::int64_t d = 0; d < c.Dq; ++d) c.k[static_cast<std::size_t>(c.row(0, h, at) * c.Dq + d)] *= 4096;
    check(c);
  }
}

// Numbers below the smallest normal one may count as 0, and neither more nor less.
TEST_P(Stress, Denormals) {
  AttentionCase c = attention_case(kStressPatterns, 1, 150, 5, 16, 20);
  for (std::vector<double>* values : {&c.q, &c.k, &c.v, &c.dout})
    for (double& value : *values) value = float_from_bfloat16(bfloat16_from_float(static_cast<float>(value * 1e-39)));
  check(c, 8 * std::numeric_limits<float>::min());
}

TEST_P(Stress, OneTokenOneHeadOneChannel) {
  for (const char* pattern : {"dense", "strided(4)", "fixed(4,1)", "window(1)", "column(3)", "summary(4,1)", "row(2)",
                              "previous_row(2)", "prefix(1)", "digits(2,1)"}) {
    for (const std::int64_t T : {1, 2, 65}) {
      for (const std::int64_t D : {1, 2}) check(attention_case({pattern}, 1, T, 1, D, 3 - D));
    }
  }
}

// Heads of one channel, and widths beside those of vectors, for one sequence and several.
TEST_P(Stress, WidthsThatNoVectorDivides) {
  for (const std::int64_t D : {1, 3, 5, 13, 17, 31, 47, 65, 97, 127, 255}) {
    for (const std::int64_t B : {1, 3}) check(attention_case({"strided(8)", "fixed(8,3)"}, B, 70, 2, D, D));
  }
}

// Queries that read no key give 0 and pass no gradient on, also where every number around them is large.
TEST_P(Stress, EmptyRows) {
  AttentionCase c = attention_case({"summary(16,2)", "previous_row(50)", "previous_row(128)"}, 2, 150, 3, 16, 20, 30);
  check(c);
  for (const DType type : kTypes) {
    every_way([&](const std::string& way) {
      const AttentionResult got = run_attention(run_all, c, type);
      int empty = 0;
      for (std::int64_t row = 0; row < c.B * c.H * c.T; ++row) {
        std::vector<std::int64_t> keys;
        list_keys(c.patterns[static_cast<std::size_t>(row / c.T % c.H)], row % c.T, keys);
        if (!keys.empty()) continue;
        ++empty;
        for (std::int64_t d = 0; d < c.Dv; ++d) ASSERT_EQ(got.out[static_cast<std::size_t>(row * c.Dv + d)], 0) << way;
        for (std::int64_t d = 0; d < c.Dq; ++d) ASSERT_EQ(got.dq[static_cast<std::size_t>(row * c.Dq + d)], 0) << way;
        ASSERT_EQ(got.lse[static_cast<std::size_t>(row)], -INFINITY) << way;
      }
      EXPECT_GE(empty, 2 * (50 + 128)) << "rows of the two patterns that look a row back";
    });
  }
}

// Logits of +-10,000 and logits that are all equal: the loss is their difference, or ln V, and its gradient finite.
TEST_P(Stress, LogitsOfTenThousand) {
  constexpr std::int64_t N = 5, C = 4, V = 37;
  for (const DType type : kTypes) {
    HostMatrix x(type, N, C, 1), w(type, V, C, 2), dx(type, N, C, 3), dw(DType::float32, V, C, 4);
    x.fill(0), w.fill(0);
    for (std::int64_t n = 0; n < N; ++n) x.set(n, 0, n == 4 ? 0 : n % 2 == 0 ? 80 : -80);
    for (std::int64_t v = 0; v < V; ++v) w.set(v, 0, v == 20 ? 125 : -125);
    std::vector<std::int32_t> targets = {20, 3, 3, 20, 0};
    every_way([&](const std::string& way) {
      std::vector<float> losses(N, NAN);
      dx.fill(NAN), dw.fill(0);
      run(VocabularyLoss{x.view(), w.view(), array_of(targets), array_of(losses), dx.view(), dw.view()},
          {.loss_gradient = 1});
      const double others = std::log(36.0), all = std::log(37.0);
      const double wanted[] = {0, others, 20000, 20000 + others, all};
      for (std::int64_t n = 0; n < N; ++n)
        EXPECT_NEAR(losses[static_cast<std::size_t>(n)], wanted[n], 1e-6 * wanted[n] + 1e-6) << way << " " << n;
      const definitions::Values to_x = dx.values(), to_w = dw.values();
      for (const definitions::Values* values : {&to_x, &to_w})
        for (const double value : *values) EXPECT_TRUE(std::isfinite(value)) << way;
      EXPECT_NEAR(to_x[0], 0, 1e-6) << way;        // the target has all weight
      EXPECT_NEAR(to_x[2 * C], 250, 1e-3) << way;  // token 20 has all of it: 125 - -125
    });
  }
}

}  // namespace
}  // namespace longstride::tests
