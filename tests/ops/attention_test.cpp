// These tests hold attention and its gradient against the definition, for every pattern and every way in which a device
// computes.
#include <gtest/gtest.h>

#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

class AttentionOperation : public OnDevice {
 protected:
  const RunAll run_all = [this](std::vector<Operation> operations) { run(std::move(operations)); };
  void check_cases(DType type);
};
LONGSTRIDE_ON_EVERY_DEVICE(AttentionOperation);

struct Case {
  std::vector<std::string> heads;
  std::int64_t B, T, H, Dq, Dv;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {{"dense"}, 1, 1, 1, 1, 1},
      {{"dense"}, 1, 5, 1, 7, 16},
      {{"dense"}, 1, 63, 1, 16, 7},
      {{"dense"}, 1, 64, 1, 64, 64},
      {{"dense"}, 1, 65, 2, 33, 20},
      {{"dense"}, 2, 200, 1, 20, 33},
      {{"dense"}, 1, 333, 1, 80, 128},
      {{"window(1)", "window(17)", "window(64)", "window(96)"}, 1, 200, 4, 16, 16},
      {{"window(300)"}, 1, 333, 1, 128, 80},
      {{"column(2)", "column(3)", "column(128)"}, 1, 333, 3, 33, 16},
      {{"column(7)"}, 2, 200, 2, 64, 64},
      {{"column(1)"}, 1, 65, 1, 16, 16},
      {{"row(16)", "row(50)", "row(128)"}, 1, 200, 3, 20, 20},
      {{"summary(16,1)", "summary(16,4,1)", "summary(100,40)", "summary(200,90)"}, 1, 333, 4, 16, 33},
      {{"previous_row(1)", "previous_row(50)", "previous_row(128)"}, 1, 333, 3, 16, 16},
      {{"prefix(1)", "prefix(70)"}, 1, 200, 2, 7, 20},
      {{"digits(4,1)", "digits(4,2)", "digits(4,3)"}, 1, 333, 3, 16, 16},
      {{"strided(16)", "strided(18)", "strided(2)"}, 1, 333, 3, 64, 64},
      {{"strided(14)"}, 2, 200, 1, 33, 7},
      {{"fixed(16,4)", "fixed(128,32)", "fixed(10,3)"}, 1, 333, 3, 64, 80},
      {{"fixed(32,8)"}, 2, 200, 4, 16, 16},
      {{"column(5) | column(3)", "column(4) | column(6) | window(9)"}, 1, 200, 2, 16, 16},
      {{"window(5) | prefix(3) | summary(16,2)", "previous_row(20) | column(20)", "row(20) | column(6) | prefix(30)"},
       1,
       200,
       3,
       20,
       16},
      {{"dense", "window(9)", "column(9)", "previous_row(30)"}, 2, 65, 4, 33, 33},
      {{"strided(8)"}, 1, 63, 1, 256, 256},
      // Longer than the band of keys that windows and rows sum; few heads are cut in pieces.
      {{"window(70)", "strided(20)", "previous_row(40) | row(60)"}, 1, 700, 3, 20, 16},
      {{"strided(32)", "window(33)", "strided(32)", "strided(32)"}, 1, 650, 4, 64, 33},
      // Classes that are too long to be gathered, alone and after another sweep.
      {{"column(2)", "column(2) | window(9)", "column(2) | column(3)"}, 1, 2100, 3, 8, 8},
      // Classes side by side: few and many of them, ragged ends, distances that are bounded, the longest.
      {{"column(35)", "window(50) | column(17)", "digits(3,3)"}, 2, 333, 3, 20, 33},
      {{"column(2)", "strided(2)"}, 1, 256, 2, 8, 9},
      {{"column(2)", "strided(2)"}, 1, 257, 2, 8, 9},
  };
  return kCases;
}

std::string name(const Case& c) {
  return c.heads[0] + ", T " + std::to_string(c.T) + ", Dq " + std::to_string(c.Dq) + ", Dv " + std::to_string(c.Dv);
}

void AttentionOperation::check_cases(DType type) {
  for (const Case& c : cases()) {
    const AttentionCase numbers = attention_case(c.heads, c.B, c.T, c.H, c.Dq, c.Dv);
    AttentionResult bound;
    const AttentionResult wanted = define_attention(numbers, type, bound);
    every_way([&](const std::string& way) {
      SCOPED_TRACE(name(c) + ", " + way);
      expect_all_within(run_attention(run_all, numbers, type), wanted, bound);
    });
    if (testing::Test::HasFailure()) return;
  }
}

TEST_P(AttentionOperation, EqualsItsDefinitionInFloat32) { check_cases(DType::float32); }
TEST_P(AttentionOperation, EqualsItsDefinitionInBfloat16) { check_cases(DType::bfloat16); }

// Two definitions stand for attention: this one, with bounds, and that of all operations, which others hold on to.
TEST_P(AttentionOperation, HasOneDefinition) {
  const AttentionCase c = attention_case({"strided(16)", "fixed(16,4)", "summary(16,2)"}, 2, 70, 3, 7, 9);
  AttentionResult bound;
  const AttentionResult wanted = define_attention(c, DType::float32, bound);
  AttentionMatrices matrices(c, DType::float32, Layout::by_position);
  const definitions::AttentionValues out = definitions::attention(matrices.forward());
  const definitions::AttentionGradients d = definitions::attention_backward(matrices.backward());
  const auto by_head = [&](const definitions::Values& rows, std::int64_t D) {  // (B, T, H, D) to (B, H, T, D)
    definitions::Values values;
    for (std::int64_t row = 0; row < c.B * c.H * c.T; ++row) {
      const std::int64_t t = row % c.T, h = row / c.T % c.H, b = row / c.T / c.H;
      const auto first = rows.begin() + ((b * c.T + t) * c.H + h) * D;
      values.insert(values.end(), first, first + D);
    }
    return values;
  };
  expect_close(by_head(out.out, c.Dv), wanted.out, 1e-12, 1e-12, "out");
  expect_within("lse", out.lse, wanted.lse, definitions::Values(wanted.lse.size(), 1e-12));
  expect_close(by_head(d.dq, c.Dq), wanted.dq, 1e-12, 1e-12, "dq");
  expect_close(by_head(d.dk, c.Dq), wanted.dk, 1e-12, 1e-12, "dk");
  expect_close(by_head(d.dv, c.Dv), wanted.dv, 1e-12, 1e-12, "dv");
}

// Scores of hundreds: powers must be taken from the maximum, which rises and falls over the keys.
TEST_P(AttentionOperation, LargeScoresDoNotOverflow) {
  const AttentionCase numbers = attention_case({"dense", "strided(16)"}, 1, 200, 2, 64, 16, 12);
  for (const DType type : kTypes) {
    AttentionResult bound;
    const AttentionResult wanted = define_attention(numbers, type, bound);
    every_way([&](const std::string& way) {
      SCOPED_TRACE(way);
      expect_all_within(run_attention(run_all, numbers, type), wanted, bound);
    });
  }
}

// A value or key that is NaN or infinite shows in every query that reads it and in no other.
TEST_P(AttentionOperation, WhatIsNotFinitePoisonsItsReadersAndNobodyElse) {
  for (const char* pattern : {"dense", "window(20)", "column(9)", "fixed(16,4)", "strided(16)", "previous_row(30)"})
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)})
      for (const bool in_value : {false, true})
        for (const DType type : kTypes) {
          AttentionCase c = attention_case({pattern}, 1, 150, 1, 16, 20);
          const std::int64_t j = 77;
          if (in_value)
            c.v[j * c.Dv + 3] = bad;
          else
            for (std::int64_t d = 0; d < c.Dq; ++d) c.k[j * c.Dq + d] = bad;  // scores: NaN or mixed infinities
          every_way([&](const std::string& way) {
            const AttentionResult got = run_attention(run_all, c, type);
            for (std::int64_t i = 0; i < c.T; ++i) {
              const bool reads = attends(c.patterns[0], i, j);
              const bool finite = std::isfinite(got.out[i * c.Dv + 3]);
              ASSERT_EQ(finite, !reads) << pattern << " i " << i << (in_value ? " value " : " key ") << bad << " "
                                        << way << " " << word(type);
              if (!in_value || !reads) continue;
              ASSERT_TRUE(std::isfinite(got.out[i * c.Dv + 4])) << "another channel";
            }
          });
        }
}

// The definition's own gradient, which the kernels are compared with, along a random direction of q, k and v.
TEST(AttentionDefinition, ItsGradientIsItsSlope) {
  AttentionCase c = attention_case({"strided(8)", "fixed(16,4)", "summary(16,2)"}, 2, 50, 3, 7, 9);
  AttentionResult bound;
  const AttentionResult at = define_attention(c, DType::float32, bound);
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  const auto draw = [&](std::size_t count) {
    std::vector<double> x(count);
    for (double& e : x) e = normal(random);
    return x;
  };
  const std::vector<double> q = draw(c.q.size()), k = draw(c.k.size()), v = draw(c.v.size());
  double slope = 0;
  for (std::size_t e = 0; e < q.size(); ++e) slope += at.dq[e] * q[e] + at.dk[e] * k[e];
  for (std::size_t e = 0; e < v.size(); ++e) slope += at.dv[e] * v[e];
  const auto loss = [&](double step) {
    AttentionCase moved = c;
    for (std::size_t e = 0; e < q.size(); ++e) moved.q[e] += step * q[e], moved.k[e] += step * k[e];
    for (std::size_t e = 0; e < v.size(); ++e) moved.v[e] += step * v[e];
    const AttentionResult result = define_attention(moved, DType::float32, bound);
    double sum = 0;
    for (std::size_t e = 0; e < result.out.size(); ++e) sum += result.out[e] * c.dout[e];
    return sum;
  };
  const double step = 1e-4;  // the error is step^2 times the third derivative
  EXPECT_NEAR((loss(step) - loss(-step)) / (2 * step), slope, 1e-5 * std::abs(slope) + 1e-5);
}

TEST_P(AttentionOperation, AnyNumberOfThreadsGivesTheSameBits) {
  for (const std::int64_t H : {1, 2, 3, 8})
    for (const DType type : kTypes) {
      const AttentionCase c =
          attention_case({"strided(16)", "fixed(32,8)", "column(3) | column(5)", "window(40)"}, 2, 533, H, 20, 33);
      every_way([&](const std::string& way) {
        same_for_any_threads(way + " H " + std::to_string(H), [&] {
          AttentionResult result = run_attention(run_all, c, type);
          for (const definitions::Values* part : {&result.lse, &result.dq, &result.dk, &result.dv})
            append(result.out, *part);
          return result.out;
        });
      });
    }
}

}  // namespace
}  // namespace longstride::tests
