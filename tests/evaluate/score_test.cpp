// These tests hold a loaded model's score and evaluation against those of evaluate(), which loads by itself.
#include <cmath>
#include <numeric>
#include <thread>

#include "io/file.h"
#include "io/sha256.h"
#include "io/system.h"
#include "longstride/attention.h"
#include "longstride/evaluate.h"
#include "same_evaluation.h"

namespace longstride::tests {
namespace {

class ScoreOfTokens : public StoredText {
 protected:
  ScoreOfTokens() : StoredText(103) {}
  std::string refused(Model& model, std::span<const std::int32_t> tokens, std::int64_t min_context) const {
    return words_of_error(ErrorKind::invalid_argument, [&] { model.score(tokens, min_context); });
  }
};

TEST_F(ScoreOfTokens, IsThatOfEvaluateToTheBit) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    Model model = stored_.load(precision);
    for (const std::int64_t m : {0, 5, 11}) {
      EvaluateOptions asked = options(m);
      asked.precision = precision;
      const Evaluation evaluated = evaluate(asked);
      const TokenScore score = model.score(tokens_, m);
      EXPECT_EQ(score.bits_per_token, evaluated.bits_per_byte);
      EXPECT_EQ(score.standard_error, evaluated.standard_error);
      EXPECT_EQ(score.windows, evaluated.windows);
      EXPECT_EQ(std::ssize(score.bits), evaluated.tokens_scored);
      const double sum = std::accumulate(score.bits.begin(), score.bits.end(), 0.0);
      EXPECT_NEAR(sum / 103, score.bits_per_token, 1e-12);  // doubles, in another order
    }
  }
}

TEST_F(ScoreOfTokens, GivesEachTokenTheBitsOfItsLogits) {
  Model model = stored_.load();
  const std::span<const std::int32_t> text = std::span(tokens_).first(StoredModel::kContext);
  const TokenScore score = model.score(text);
  const std::vector<float> logits = model.logits(text.first(StoredModel::kContext - 1));
  EXPECT_EQ(score.standard_error, -1);  // one window
  for (std::size_t t = 0; t < text.size(); ++t) {
    double sum = 0;
    const float* row = logits.data() + t * 256;
    for (std::size_t v = 0; v < 256; ++v) sum += std::exp(double{row[v]} - double{row[text[t]]});
    EXPECT_NEAR(score.bits[t], std::log2(sum), 2e-5) << t;  // a loss of about 8 bits in float32
  }
}

TEST_F(ScoreOfTokens, OfAHeldModelNeedsItsFileNoMore) {
  Model model = stored_.load();
  std::vector<Evaluation> expected;
  for (const std::int64_t m : {0, 5}) expected.push_back(evaluate(options(m)));
  const std::string bytes = read_text(stored_.file());
  stored_.remove_checkpoint();
  expect_same(model.evaluate(options(0)), expected[0]);
  expect_same(model.evaluate(options(5)), expected[1]);
  EXPECT_EQ(expected[0].checkpoint_sha256, sha256_hex(as_bytes(bytes)));
}

TEST_F(ScoreOfTokens, IsInTwoThreadsWhatItIsAlone) {
  const StoredModel second(9);
  Model one = stored_.load(), two = second.load();
  const std::vector<float> of_one = one.score(tokens_, 3).bits, of_two = two.score(tokens_, 3).bits;
  std::vector<float> made;
  std::thread other([&] {
    for (int again = 0; again < 5; ++again) made = two.score(tokens_, 3).bits;
  });
  for (int again = 0; again < 5; ++again) EXPECT_EQ(one.score(tokens_, 3).bits, of_one);
  other.join();
  EXPECT_EQ(made, of_two);
  EXPECT_NE(of_one, of_two);
}

TEST_F(ScoreOfTokens, StopsWhereItIsTold) {
  Model model = stored_.load();
  const std::atomic<bool> stop = true;
  const TokenScore score = model.score(tokens_, 0, &stop);
  EXPECT_TRUE(score.bits.empty());
  EXPECT_EQ(score.bits_per_token, 0);
  EXPECT_EQ(score.windows, 0);
}

TEST_F(ScoreOfTokens, RefusesWhatItCannotScore) {
  Model model = stored_.load();
  EXPECT_EQ(refused(model, {}, 0), "score: needs at least one token, got none");
  EXPECT_EQ(refused(model, tokens_, 12),
            "score: needs a minimum context in [0, 11], got 12 (the model's context is 12)");
  const std::vector<std::int32_t> foreign = {3, -1};
  EXPECT_EQ(refused(model, foreign, 0), "score: token -1 at 1 is outside the vocabulary of 256");
}

TEST_F(ScoreOfTokens, SharesItsModelWithAView) {
  Model model = stored_.load(Precision::bfloat16);
  write_file_atomically(stored_.path("line"), std::string(tokens_.begin(), tokens_.begin() + 10));
  AttentionOptions options;
  options.run = stored_.run();
  options.input = stored_.path("line");
  const auto weights = [](const AttentionView& view) {
    std::vector<double> all;
    view.rows({0, 1}, {0, 1}, {3, 9},
              [&](const AttentionRow& row) { all.insert(all.end(), row.p.begin(), row.p.end()); });
    return all;
  };
  const AttentionView alone(options);
  stored_.remove_checkpoint();
  const AttentionView shared(model, options);
  EXPECT_EQ(shared.step(), 42);
  EXPECT_EQ(weights(shared), weights(alone));
  EXPECT_FALSE(weights(shared).empty());
}

}  // namespace
}  // namespace longstride::tests
