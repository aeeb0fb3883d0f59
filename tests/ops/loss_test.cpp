// These tests hold vocabulary_loss against its definition.
#include <gtest/gtest.h>

#include <array>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(LossOperation);

const StepInputs kInputs{.loss_gradient = 0.5f};

struct LossCase {
  DType type;
  std::int64_t N, C, V;
  HostMatrix x, w, dx, dw;
  std::vector<std::int32_t> targets;
  std::vector<float> losses;
  LossCase(DType a, std::int64_t n, std::int64_t c, std::int64_t v)
      : type(a), N(n), C(c), V(v), x(a, n, c, 1, 1), w(a, v, c, 2), dx(a, n, c, 3, 2), dw(DType::float32, v, c, 4) {
    for (std::int64_t i = 0; i < n; ++i) targets.push_back(static_cast<std::int32_t>(i % 5 == 4 ? -1 : i * 7 % v));
    losses.resize(static_cast<std::size_t>(n));
  }
  VocabularyLoss op(bool backward) {
    VocabularyLoss loss;
    loss.x = x.view();
    loss.w = w.view();
    loss.targets = array_of(targets);
    loss.losses = array_of(losses);
    if (!backward) return loss;
    loss.dx = dx.view();
    loss.dw = dw.view();
    return loss;
  }
};

using RunOne = std::function<void(const Operation&)>;
void check_loss(const RunOne& run, const std::string& isa, LossCase& t) {
  const std::string what = "vocabulary_loss " + isa + " " + word(t.type) + " N " + std::to_string(t.N) + " C " +
                           std::to_string(t.C) + " V " + std::to_string(t.V);
  const VocabularyLoss op = t.op(true);
  const definitions::Values got = same_for_any_threads(what, [&] {
    t.dw.fill(1);
    run(op);
    definitions::Values all = as_values(t.losses);
    append(all, t.dx.values());
    append(all, t.dw.values());
    return all;
  });
  definitions::VocabularyLossValues want = definitions::vocabulary_loss(op, kInputs);
  for (double& v : want.dw) v += 1;
  const auto N = static_cast<std::size_t>(t.N), NC = static_cast<std::size_t>(t.N * t.C);
  const auto part = [&](std::size_t first, std::size_t last) {
    return definitions::Values(got.begin() + static_cast<std::ptrdiff_t>(first),
                               got.begin() + static_cast<std::ptrdiff_t>(last));
  };
  // Logits, at most C in size, have the error of a sum of C products; a loss has twice that, and the sum of V
  // exponentials' (each right to 2e-7).
  const double of_logits = sum_bound(t.C, static_cast<double>(t.C));
  const double of_loss = 2 * of_logits + static_cast<double>(t.V + 8) * 0x1p-24 + 1e-6;
  expect_close(part(0, N), want.losses, of_loss, 1e-6, what + " losses");
  // A row's |dlogits| add up to at most 2 * gradient = 1: their relative error goes into dx once, and A's rounding of
  // them; into dw once a row.
  const double of_dlogits = of_loss + rounding(t.type) + sum_bound(t.V, 1);
  expect_close(part(N, N + NC), want.dx, 2 * of_dlogits, 2 * rounding(t.type), what + " dx");
  expect_close(part(N + NC, got.size()), want.dw, static_cast<double>(t.N) * 0.5 * of_dlogits + 1e-6, 1e-6,
               what + " dw");
  run(t.op(false));  // without a gradient: the same losses
  expect_same_bits(as_values(t.losses), part(0, N), what + " losses alone");
}

TEST_P(LossOperation, IsItsDefinition) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const auto [N, C, V] :
           {std::array<std::int64_t, 3>{1, 7, 1}, {3, 16, 2}, {65, 33, 17}, {200, 20, 256}, {64, 8, 33}}) {
        LossCase t(type, N, C, V);
        check_loss([&](const Operation& op) { run(op, kInputs); }, isa, t);
      }
    }
  });
}

TEST_P(LossOperation, WorksInBlocksWhereTheVocabularyIsLarge) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    LossCase t(DType::float32, 130, 4, 60000);  // 128 rows a block
    check_loss([&](const Operation& op) { run(op, kInputs); }, way, t);
  });
}

TEST_P(LossOperation, OfRowsThatAreNotScoredIsZeroAndHasNoGradient) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    LossCase t(DType::float32, 10, 6, 9);
    t.targets.assign(10, -1);
    t.dw.fill(0);
    t.x.set(2, 1, NAN);
    run(t.op(true), kInputs);
    for (const float loss : t.losses) EXPECT_EQ(loss, 0);
    for (const double d : t.dx.values()) EXPECT_EQ(d, 0);
  });
}

TEST_P(LossOperation, OfLogitsFarFromZeroIsThatOfTheirDifferences) {
  every_way([&](const std::string& isa) {
    for (const float around : {-1000.0f, 1000.0f}) {
      LossCase t(DType::float32, 6, 1, 33);  // one logit more than whole vectors
      t.x.fill(1);
      for (std::int64_t v = 0; v < t.V; ++v) t.w.set(v, 0, around + static_cast<float>(v % 4));
      run(t.op(false), kInputs);
      const definitions::Values want = definitions::vocabulary_loss(t.op(false), kInputs).losses;
      expect_close(as_values(t.losses), want, 1e-5, 1e-6,
                   "losses of logits around " + std::to_string(around) + " " + isa);
    }
  });
}

TEST_P(LossOperation, OfLogitsThatAreNotNumbersIsNotANumber) {
  every_way([&](const std::string& isa) {
    for (const float bad : {NAN, INFINITY}) {
      for (const std::int64_t at : {0, 15, 16, 32}) {  // first and last lanes, and the rest
        LossCase t(DType::float32, 6, 1, 33);
        t.targets.assign(6, 3);
        t.x.fill(1);
        t.w.set(at, 0, bad);
        run(t.op(false), kInputs);
        for (const float loss : t.losses) EXPECT_FALSE(std::isfinite(loss)) << isa << " at " << at;
      }
    }
  });
}

}  // namespace
}  // namespace longstride::tests
