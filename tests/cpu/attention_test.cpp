// The attention kernels against the definition, for every instruction set that this machine runs.
#include <gtest/gtest.h>

#include "cpu/attention_memory.h"
#include "longstride/device.h"

namespace longstride {
namespace {

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

void check_cases(DType type) {
  for (const Case& c : cases()) {
    const AttentionCase numbers = attention_case(c.heads, c.B, c.T, c.H, c.Dq, c.Dv);
    AttentionResult bound;
    const AttentionResult wanted = define_attention(numbers, type, bound);
    for (const Isa isa : usable_isas()) {
      SCOPED_TRACE(name(c) + ", " + to_string(isa));
      const WithIsa forced(isa);
      expect_all_within(run_attention(numbers, type), wanted, bound);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(Attention, EqualsItsDefinitionInFloat32) { check_cases(DType::float32); }
TEST(Attention, EqualsItsDefinitionInBfloat16) { check_cases(DType::bfloat16); }

// Scores of hundreds: powers must be taken from the maximum, which rises and falls over the keys.
TEST(Attention, LargeScoresDoNotOverflow) {
  const AttentionCase numbers = attention_case({"dense", "strided(16)"}, 1, 200, 2, 64, 16, 12);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    AttentionResult bound;
    const AttentionResult wanted = define_attention(numbers, type, bound);
    for (const Isa isa : usable_isas()) {
      SCOPED_TRACE(to_string(isa));
      const WithIsa forced(isa);
      expect_all_within(run_attention(numbers, type), wanted, bound);
    }
  }
}

// A value or key that is NaN or infinite shows in every query that reads it and in no other.
TEST(Attention, WhatIsNotFinitePoisonsItsReadersAndNobodyElse) {
  for (const char* pattern : {"dense", "window(20)", "column(9)", "fixed(16,4)", "strided(16)", "previous_row(30)"})
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)})
      for (const bool in_value : {false, true})
        for (const DType type : {DType::float32, DType::bfloat16}) {
          AttentionCase c = attention_case({pattern}, 1, 150, 1, 16, 20);
          const std::int64_t j = 77;
          if (in_value)
            c.v[j * c.Dv + 3] = bad;
          else
            for (std::int64_t d = 0; d < c.Dq; ++d) c.k[j * c.Dq + d] = bad;  // scores: NaN or mixed infinities
          for (const Isa isa : usable_isas()) {
            const WithIsa forced(isa);
            const AttentionResult got = run_attention(c, type);
            for (std::int64_t i = 0; i < c.T; ++i) {
              const bool reads = attends(c.patterns[0], i, j);
              const bool finite = std::isfinite(got.out[i * c.Dv + 3]);
              ASSERT_EQ(finite, !reads) << pattern << " i " << i << (in_value ? " value " : " key ") << bad << " "
                                        << to_string(isa) << " " << static_cast<int>(type);
              if (!in_value || !reads) continue;
              ASSERT_TRUE(std::isfinite(got.out[i * c.Dv + 4])) << "another channel";
            }
          }
        }
}

// The definition's own gradient, which the kernels are compared with, along a random direction of q, k and v.
TEST(Attention, GradientOfTheDefinitionIsItsSlope) {
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

class WithThreads {
 public:
  explicit WithThreads(int count) { set_threads(count); }
  ~WithThreads() { set_threads(0); }
  WithThreads(const WithThreads&) = delete;
};

TEST(Attention, AnyNumberOfThreadsGivesTheSameBits) {
  for (const std::int64_t H : {1, 2, 3, 8})
    for (const DType type : {DType::float32, DType::bfloat16}) {
      const AttentionCase c =
          attention_case({"strided(16)", "fixed(32,8)", "column(3) | column(5)", "window(40)"}, 2, 533, H, 20, 33);
      std::vector<AttentionResult> results;
      for (const int count : {1, 2, 3}) {
        const WithThreads forced(count);
        results.push_back(run_attention(c, type));
      }
      for (const AttentionResult& result : results) {
        ASSERT_EQ(result.out, results[0].out) << H;
        ASSERT_EQ(result.lse, results[0].lse) << H;
        ASSERT_EQ(result.dq, results[0].dq) << H;
        ASSERT_EQ(result.dk, results[0].dk) << H;
        ASSERT_EQ(result.dv, results[0].dv) << H;
      }
    }
}

TEST(Attention, TakesNoMoreWorkspaceThanItSays) {
  for (const std::int64_t H : {1, 8})
    for (const DType type : {DType::float32, DType::bfloat16}) {
      const AttentionCase c = attention_case({"strided(16)"}, 1, 333, H, 20, 33);
      AttentionMatrices matrices(c, type);
      Workspace workspace;
      workspace.reserve(std::max(cpu::AttentionForward(matrices.forward()).workspace_bytes(),
                                 cpu::AttentionGradient(matrices.backward()).workspace_bytes()));
      const std::int64_t before = workspace.reserved_bytes();
      cpu::attention_forward(matrices.forward(), workspace);
      cpu::attention_backward(matrices.backward(), workspace);
      EXPECT_EQ(workspace.reserved_bytes(), before);
    }
}

}  // namespace
}  // namespace longstride
