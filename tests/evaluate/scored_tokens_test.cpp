// What is told of single tokens is what the evaluation adds up and what the model's logits say.
#include <gtest/gtest.h>

#include <cmath>

#include "io/file.h"
#include "longstride/evaluate.h"
#include "stored_model.h"

namespace longstride {
namespace {

// A text of several windows, scored with this minimum context.
struct Told {
  explicit Told(std::int64_t min_context, std::int64_t size, std::int64_t expected = 4) {
    for (const std::int32_t token : tests::some_tokens(size, 256)) text += static_cast<char>(token);
    write_file_atomically(stored.path("text"), text);
    EvaluateOptions options;
    options.run = stored.run();
    options.paths = {stored.path("text")};
    options.min_context = min_context;
    options.expected = expected;
    options.scored = [&](const ScoredToken& token) { tokens.push_back(token); };
    result = evaluate(options);
  }
  tests::StoredModel stored;
  std::string text;
  std::vector<ScoredToken> tokens;
  Evaluation result;
};

TEST(ScoredTokens, AddUpToTheEvaluationInTheOrderOfTheText) {
  for (const std::int64_t min_context : {0, 5}) {
    for (const std::int64_t size : {1, 7, 12, 53}) {
      const Told told(min_context, size);
      ASSERT_EQ(std::ssize(told.tokens), size);
      double bits = 0;
      for (std::int64_t at = 0; at < size; ++at) {
        const ScoredToken& token = told.tokens[static_cast<std::size_t>(at)];
        EXPECT_EQ(token.at, at);
        EXPECT_EQ(token.token, static_cast<unsigned char>(told.text[static_cast<std::size_t>(at)]));
        bits += token.bits;
      }
      EXPECT_NEAR(bits / static_cast<double>(size), told.result.bits_per_byte, 1e-12);
    }
  }
}

// With 12 tokens of context and at least 5 before it, token 20 is the third that the third window scores: it reads
// tokens 14 to 19.
TEST(ScoredTokens, AreToldWithWhatTheLogitsHoldLikeliest) {
  const Told told(5, 53);
  const std::vector<std::int32_t> before(told.text.begin() + 14, told.text.begin() + 20);
  std::vector<std::int32_t> tokens;
  for (const std::int32_t byte : before) tokens.push_back(byte & 0xff);
  const std::vector<float> logits = told.stored.load().logits(tokens);
  const std::span<const float> row(logits.data() + 6 * 256, 256);
  double sum = 0;
  for (const float logit : row) sum += std::exp(logit);
  const ScoredToken& token = told.tokens[20];
  ASSERT_EQ(token.expected.size(), 4u);
  EXPECT_EQ(token.expected[0].token, std::max_element(row.begin(), row.end()) - row.begin());
  double before_it = 1;
  for (const LikelyToken& likely : token.expected) {
    EXPECT_NEAR(likely.probability, std::exp(row[static_cast<std::size_t>(likely.token)]) / sum, 1e-5);
    EXPECT_LE(likely.probability, before_it);
    before_it = likely.probability;
  }
  EXPECT_NEAR(token.bits, -std::log2(std::exp(row[static_cast<std::size_t>(token.token)]) / sum), 1e-4);
}

TEST(ScoredTokens, AreToldWithoutProbabilitiesWhereNoneAreAskedFor) {
  const Told told(0, 20, 0);
  ASSERT_EQ(told.tokens.size(), 20u);
  EXPECT_TRUE(told.tokens[3].expected.empty());
}

}  // namespace
}  // namespace longstride
