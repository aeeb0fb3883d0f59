// These tests hold what kernels are built of against plain loops: of the twin in cuda_test, of a card in card_test.
#include "cuda/primitives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <type_traits>
#include <vector>

#include "host_matrix.h"

namespace longstride::cuda {
namespace {

// Memory of a card, which brings what it holds.
template <class T>
class OnCard {
 public:
  OnCard(Card& card, std::size_t count) : card_(card), count_(count) {
    data_ = static_cast<T*>(card.allocate(bytes()));
  }
  OnCard(Card& card, const std::vector<T>& values) : OnCard(card, values.size()) {
    card.upload(data_, values.data(), bytes());
  }
  ~OnCard() { card_.release(data_); }
  OnCard(const OnCard&) = delete;
  OnCard& operator=(const OnCard&) = delete;
  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> all(count_);
    card_.download(all.data(), data_, bytes());
    return all;
  }

 private:
  std::int64_t bytes() const { return static_cast<std::int64_t>(count_ * sizeof(T)); }
  Card& card_;
  std::size_t count_;
  T* data_ = nullptr;
};

template <class A>
std::vector<A> random_values(int count, std::int64_t seed) {
  std::vector<A> values;
  for (int i = 0; i < count; ++i) {
    const float x = random_value(seed, i);
    if constexpr (std::is_same_v<A, float>)
      values.push_back(x);
    else
      values.push_back(A{bfloat16_from_float(x)});
  }
  return values;
}
double number(float x) { return x; }
double number(bf16 x) { return float_from_bfloat16(x.bits); }

template <class A>
void expect_tile_products() {
  constexpr int R = kProductRows, K = kProductColumns, C = kProductChannels;
  Card card;
  const std::vector<A> own = random_values<A>(R * C, 1), walked = random_values<A>(K * C, 2);
  const OnCard<A> on_own(card, own), on_walked(card, walked);
  const OnCard<float> on_scores(card, R * K), on_sums(card, R * C);
  launch_products(card.stream(), {on_own.data(), on_walked.data(), on_scores.data(), on_sums.data()});
  const std::vector<float> scores = on_scores.values(), sums = on_sums.values();
  const auto at = [](const auto& values, int r, int c, int stride) {
    return number(values[static_cast<std::size_t>(r * stride + c)]);
  };
  for (int r = 0; r < R; ++r) {
    for (int k = 0; k < K; ++k) {
      double want = 0;
      for (int c = 0; c < C; ++c) want += at(own, r, c, C) * at(walked, k, c, C);
      ASSERT_NEAR(at(scores, r, k, K), want, sum_bound(C, C)) << "row " << r << " column " << k;
    }
    for (int c = 0; c < C; ++c) {
      double want = 0, size = 0;
      for (int k = 0; k < K; ++k) {
        const float score = scores[static_cast<std::size_t>(r * K + k)];
        const double rounded = sizeof(A) == 4 ? score : float_from_bfloat16(bfloat16_from_float(score));
        want += rounded * at(walked, k, c, C), size += std::abs(rounded);
      }
      ASSERT_NEAR(at(sums, r, c, C), want, sum_bound(K, size)) << "row " << r << " channel " << c;
    }
  }
}

TEST(Primitives, ProductsOfTilesAreThoseOfMatrices) {
  expect_tile_products<bf16>();
  expect_tile_products<float>();
}

TEST(Primitives, ThreadsGetWhatOthersHave) {
  Card card;
  const OnCard<Exchanged> out(card, static_cast<std::size_t>(kExchangeThreads));
  launch_exchange(card.stream(), out.data());
  const std::vector<Exchanged> all = out.values();
  for (unsigned t = 0; t < static_cast<unsigned>(kExchangeThreads); ++t) {
    const unsigned first = t / 32 * 32, lane = t % 32;
    std::uint32_t ballot = 0;
    for (unsigned l = 0; l < 32; ++l) ballot |= static_cast<std::uint32_t>((first + l) % 3 == 0) << l;
    const Exchanged& got = all[t];
    EXPECT_EQ(got.from_5, first + 5) << t;
    EXPECT_EQ(got.from_neighbour, first + (lane ^ 1u)) << t;
    EXPECT_EQ(got.from_3_below, lane + 3 < 32 ? t + 3 : t) << t;
    EXPECT_EQ(got.ballot, ballot) << t;
    EXPECT_EQ(got.any_of_block, 1u) << t;
    EXPECT_EQ(got.none_of_block, 0u) << t;
    EXPECT_EQ(got.block_sum, 64u * 63 / 2) << t;
    EXPECT_EQ(got.column_has, (lane / 4) >> (lane % 4 * 2) & 1u) << t;  // row l / 4's mask is its number
  }
}

// Errors in units in the last place as CUDA's documentation bounds them: 2 for exp and exp2, 1 for the logarithms.
TEST(Primitives, FunctionsAreThoseOfTheHost) {
  Card card;
  std::vector<float> x = {1, 2, 0.5f, 1e-3f, 88, 1e-30f, 100};
  for (int i = 0; i < 1000; ++i) x.push_back(std::exp2(8 * random_value(5, i)));
  const OnCard<float> from(card, x);
  const OnCard<Functions> out(card, x.size());
  launch_functions(card.stream(), from.data(), out.data(), static_cast<std::int64_t>(x.size()));
  const std::vector<Functions> got = out.values();
  const auto near = [](float have, double want, const char* what, float of) {
    if (want > 3.4e38)
      EXPECT_TRUE(std::isinf(have)) << what << " of " << of;
    else
      EXPECT_NEAR(have, want, 3 * 0x1p-23 * std::abs(want) + 1e-37) << what << " of " << of;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double a = x[i];
    near(got[i].exp, std::exp(a), "exp", x[i]);
    near(got[i].exp2, std::exp2(a), "exp2", x[i]);
    near(got[i].log, std::log(a), "log", x[i]);
    near(got[i].log2, std::log2(a), "log2", x[i]);
    EXPECT_EQ(got[i].sqrt, std::sqrt(x[i])) << x[i];
    EXPECT_EQ(got[i].fused, std::fma(x[i], x[i], -1.0f)) << x[i];
    EXPECT_EQ(got[i].rounded, float_from_bfloat16(bfloat16_from_float(x[i]))) << x[i];
  }
}

}  // namespace
}  // namespace longstride::cuda
