// These tests hold residual_norm, its backward twin and dropout's mask against their definitions.
#include <gtest/gtest.h>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t kWidths[] = {1, 7, 16, 33, 64, 200};

LONGSTRIDE_DEVICE_TESTS(NormOperation);

// Of a step beyond 32 bits.
const StepInputs kNormInputs{.dropout_step = (std::int64_t{1} << 33) + 7};
Dropout dropout_of(float rate) { return {rate, 42, 3, 1}; }

TEST_P(NormOperation, IsItsDefinition) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const std::int64_t C : kWidths) {
        for (const float rate : {0.0f, 0.4f}) {
          const std::int64_t N = 37;
          HostMatrix h(DType::float32, N, C, 1), branch(type, N, C, 2, 2), h_out(DType::float32, N, C, 3),
              y(type, N, C, 4, 1);
          std::vector<float> weight = random_floats(C, 5), bias = random_floats(C, 6);
          std::vector<float> mean(N), rstd(N);
          const ResidualNorm op{h.view(),       branch.view(), dropout_of(rate), h_out.view(),   array_of(weight),
                                array_of(bias), 1e-5f,         y.view(),         array_of(mean), array_of(rstd)};
          const std::string what = "residual_norm " + isa + " " + word(type) + " C " + std::to_string(C);
          const definitions::Values got = same_for_any_threads(what, [&] {
            run(op, kNormInputs);
            definitions::Values all = h_out.values();
            append(all, as_values(mean));
            return all;
          });
          definitions::ResidualNormValues want = definitions::residual_norm(op, kNormInputs);
          append(want.h_out, want.mean);
          // |h| <= 1 + 1 / (1 - rate) < 2.7: three roundings of h, C + 1 of the mean.
          expect_close(got, want.h_out, sum_bound(C + 3, 2.7), 0, what);
          // rstd has the relative error of the variance, at worst that of its C + 4 roundings at h's magnitude over the
          // spread, which is above 0.1 for C > 1; for C = 1 the variance is 0 and rstd exact but for eps.
          const double relative = 60 * static_cast<double>(C + 4) * 0x1p-24;
          expect_close(as_values(rstd), want.rstd, 0, relative, what + " rstd");
          // xhat is at most sqrt(C); where C is 1, h - mean is a rounding error, times 1 / sqrt(eps).
          const double xhat = C == 1 ? 316 * 3e-7 : std::sqrt(static_cast<double>(C)) * relative + 1e-5;
          expect_close(y.values(), want.y, xhat, 2 * rounding(type), what + " y");
        }
      }
    }
  });
}

TEST_P(NormOperation, WithoutABranchLeavesH) {
  every_way([&](const std::string&) {
    HostMatrix h(DType::float32, 5, 33, 1), y(DType::float32, 5, 33, 2);
    std::vector<float> weight(33, 1.0f), bias(33, 0.0f);
    std::vector<float> mean(5), rstd(5);
    const definitions::Values before = h.values();
    ResidualNorm op{
        h.view(),      {}, dropout_of(0.4f), {}, array_of(weight), array_of(bias), 1e-5f, y.view(), array_of(mean),
        array_of(rstd)};
    run(op, kNormInputs);
    expect_same_bits(before, h.values(), "h");
    expect_close(y.values(), definitions::residual_norm(op, kNormInputs).y, 2e-6, 1e-6, "y");
  });
}

TEST_P(NormOperation, GivesTheGradientsOfItsDefinition) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      for (const std::int64_t C : kWidths) {
        for (const std::int64_t N : {3, 300}) {  // one chunk of 128 rows, and three
          HostMatrix dy(type, N, C, 1, 1), h(DType::float32, N, C, 2), dh(DType::float32, N, C, 3),
              dbranch(type, N, C, 4);
          HostMatrix above(DType::float32, N, C, 5);
          std::vector<float> weight = random_floats(C, 6), zeros(static_cast<std::size_t>(C));
          std::vector<float> mean(static_cast<std::size_t>(N)), rstd(mean), dweight(zeros), dbias(zeros);
          HostMatrix y(DType::float32, N, C, 7);
          ResidualNorm forward{
              h.view(), {}, {}, {}, array_of(weight), array_of(zeros), 1e-5f, y.view(), array_of(mean), array_of(rstd)};
          run(forward, kNormInputs);
          const ResidualNormBackward op{dy.view(),         h.view(),          array_of(mean), array_of(rstd),
                                        array_of(weight),  above.view(),      dh.view(),      dbranch.view(),
                                        dropout_of(0.25f), array_of(dweight), array_of(dbias)};
          const std::string what = "residual_norm_backward " + isa + " " + word(type) + " C " + std::to_string(C);
          const definitions::Values got = same_for_any_threads(what, [&] {
            dweight.assign(dweight.size(), 1);
            dbias.assign(dbias.size(), 2);
            run(op, kNormInputs);
            definitions::Values all = dh.values();
            append(all, as_values(dweight));
            append(all, as_values(dbias));
            return all;
          });
          definitions::ResidualNormGradients want = definitions::residual_norm_backward(op, 1e-5, kNormInputs);
          for (double& v : want.dweight) v += 1;
          for (double& v : want.dbias) v += 2;
          definitions::Values all = want.dh;
          append(all, want.dweight);
          append(all, want.dbias);
          // rstd below 316 (C = 1) and else below about 10; N + C roundings of sums of at most N * sqrt(C) or 10.
          const double scale = C == 1 ? 316 : 30 * std::sqrt(static_cast<double>(C));
          expect_close(got, all, 4 * static_cast<double>(N + C) * 0x1p-24 * scale, 1e-5, what);
          expect_close(dbranch.values(), want.dbranch, 4 * static_cast<double>(N + C) * 0x1p-24 * scale,
                       2 * rounding(type) + 1e-5, what + " dbranch");
        }
      }
    }
  });
}

TEST_P(NormOperation, MayWriteItsGradientOverTheGradientFromAbove) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    HostMatrix dy(DType::float32, 9, 20, 1), h(DType::float32, 9, 20, 2), above(DType::float32, 9, 20, 3),
        dh(DType::float32, 9, 20, 4);
    std::vector<float> weight = random_floats(20, 5), mean(9, 0.1f), rstd(9, 1.5f);
    std::vector<float> dweight(20), dbias(20);
    ResidualNormBackward op{
        dy.view(), h.view(), array_of(mean),    array_of(rstd), array_of(weight), above.view(), dh.view(),
        {},        {},       array_of(dweight), array_of(dbias)};
    run(op, kNormInputs);
    op.dh = above.view();
    run(op, kNormInputs);
    expect_same_bits(dh.values(), above.values(), "in place");
  });
}

TEST_P(NormOperation, MayWriteItsGradientsOverTheirInputs) {
  every_way([&](const std::string& isa) {
    for (const DType type : kTypes) {
      HostMatrix dy(type, 9, 40, 1), h(DType::float32, 9, 40, 2), dh(DType::float32, 9, 40, 3), dbranch(type, 9, 40, 4);
      std::vector<float> weight = random_floats(40, 5), mean(9, 0.1f), rstd(9, 1.5f);
      std::vector<float> dweight(40), dbias(40);
      ResidualNormBackward op{dy.view(), h.view(),       array_of(mean),    array_of(rstd),    array_of(weight), {},
                              dh.view(), dbranch.view(), dropout_of(0.25f), array_of(dweight), array_of(dbias)};
      run(op, kNormInputs);
      op.dh = h.view();
      op.dbranch = dy.view();
      run(op, kNormInputs);
      expect_same_bits(dh.values(), h.values(), "h in place " + isa);
      expect_same_bits(dbranch.values(), dy.values(), "dy in place " + isa);
    }
  });
}

TEST_P(NormOperation, PassesNotANumberOnWithinItsRow) {
  every_way([&](const std::string& isa) {
    HostMatrix h(DType::float32, 2, 33, 1), y(DType::float32, 2, 33, 2);
    h.set(1, 32, NAN);
    std::vector<float> weight(33, 1.0f), bias(33, 0.0f);
    std::vector<float> mean(2), rstd(2);
    run(ResidualNorm{
        h.view(), {}, {}, {}, array_of(weight), array_of(bias), 1e-5f, y.view(), array_of(mean), array_of(rstd)});
    const definitions::Values got = y.values();
    for (std::size_t c = 0; c < 33; ++c) {
      EXPECT_FALSE(std::isnan(got[c])) << isa;
      EXPECT_TRUE(std::isnan(got[33 + c])) << isa;
    }
    EXPECT_TRUE(std::isnan(mean[1])) << isa;
  });
}

TEST_P(NormOperation, DropsWhatPhiloxSays) {
  every_way([&](const std::string& isa) {
    for (const std::int64_t C : {1, 7, 64, 130, 515}) {
      const std::int64_t N = 50;
      HostMatrix h(DType::float32, N, C, 1), branch(DType::float32, N, C, 2), out(DType::float32, N, C, 3),
          y(DType::float32, N, C, 4);
      h.fill(0);
      branch.fill(1);
      std::vector<float> weight(static_cast<std::size_t>(C), 1.0f), bias(weight);
      std::vector<float> mean(N), rstd(N);
      Dropout dropout = dropout_of(0.4f);
      dropout.first_row = C;
      run(ResidualNorm{h.view(), branch.view(), dropout, out.view(), array_of(weight), array_of(bias), 1e-5f, y.view(),
                       array_of(mean), array_of(rstd)},
          kNormInputs);
      const definitions::Values got = out.values();
      for (std::int64_t e = 0; e < N * C; ++e) {
        const double want = definitions::dropout_scale(dropout, kNormInputs.dropout_step, dropout.first_row * C + e);
        ASSERT_NEAR(got[static_cast<std::size_t>(e)], want, want * 0x1p-23) << isa << " C " << C << " element " << e;
      }
    }
  });
}

// Compiled once: which elements are dropped is said by each run.
TEST_P(NormOperation, DropsOthersInAnotherStep) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    HostMatrix h(DType::float32, 9, 40, 1), branch(DType::float32, 9, 40, 2), h_out(DType::float32, 9, 40, 3),
        y(DType::float32, 9, 40, 4);
    std::vector<float> weight(40, 1.0f), bias(40, 0.0f), mean(9), rstd(9);
    const ResidualNorm op{h.view(),       branch.view(), dropout_of(0.5f), h_out.view(),   array_of(weight),
                          array_of(bias), 1e-5f,         y.view(),         array_of(mean), array_of(rstd)};
    DeviceTwin twin(backend(), {op});
    std::vector<definitions::Values> of_steps;
    for (const std::int64_t step : {1, 2, 1}) {
      StepInputs inputs;
      inputs.dropout_step = step;
      EXPECT_EQ(twin.run(inputs), "");
      expect_close(h_out.values(), definitions::residual_norm(op, inputs).h_out, sum_bound(3, 3), 0, "h_out");
      of_steps.push_back(h_out.values());
    }
    EXPECT_NE(of_steps[0], of_steps[1]);
    EXPECT_EQ(of_steps[0], of_steps[2]);
  });
}

}  // namespace
}  // namespace longstride::tests
