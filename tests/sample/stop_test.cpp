// Where samples end, what their tokens were likely, and the same choices by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "longstride/model.h"
#include "stored_model.h"

namespace longstride {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(Stops, EndASampleWithTheTextThatWasAskedFor) {
  const tests::StoredModel stored;
  Model model = stored.load();
  SampleOptions options;
  options.tokens = 30;
  options.count = 2;
  options.prompts = {{65, 66, 67}};
  const auto whole = model.sample(options);
  const Bytes stop(whole[0].begin() + 13, whole[0].begin() + 15);
  options.stops = {{1, 2, 3, 4, 5}, stop};
  const auto ended = model.sample(options);
  const auto first = std::search(whole[0].begin() + 3, whole[0].end(), stop.begin(), stop.end());
  EXPECT_EQ(ended[0], Bytes(whole[0].begin(), first + 2));  // the text stays in it
  const auto other = std::search(whole[1].begin() + 3, whole[1].end(), stop.begin(), stop.end());
  EXPECT_EQ(ended[1], Bytes(whole[1].begin(), other == whole[1].end() ? other : other + 2));
  options.prompts = {{65, 66, 67, stop[0]}};  // what was given is no part of what was made
  options.stops = {{stop[0]}};
  EXPECT_GT(model.sample(options)[0].size(), 4u);
  options.stops = {{}};
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { model.sample(options); }),
            "--stop: needs at least one byte, got none");
}

TEST(Stops, TokensComeWithTheirLogProbabilities) {
  const tests::StoredModel stored;
  Model model = stored.load();
  SampleOptions options;
  options.tokens = 6;
  options.temperature = 0.3;  // which is no part of the model's own probabilities
  std::vector<double> logs;
  options.chosen = [&](std::int64_t, double log_probability) { logs.push_back(log_probability); };
  const Bytes made = model.sample(options)[0];
  ASSERT_EQ(logs.size(), 6u);
  const std::vector<float> bits = model.score(std::vector<std::int32_t>(made.begin(), made.end())).bits;
  for (std::size_t at = 0; at < logs.size(); ++at) EXPECT_NEAR(-logs[at] / std::log(2.0), bits[at], 1e-4);
}

TEST(Stops, ByHandTheSameTokensAreChosen) {
  const tests::StoredModel stored;
  Model model = stored.load();
  SampleOptions options;
  options.tokens = 8;
  options.temperature = 0.9;
  options.top_k = 40;
  options.seed = 7;
  const Bytes made = model.sample(options)[0];
  Decoder decoder(model);
  Decoder::Sequence sequence = decoder.join();
  std::span<const float> logits = sequence.read({});
  for (std::size_t at = 0; at < made.size(); ++at) {
    const std::uint8_t token = choose_token(logits, options, static_cast<std::int64_t>(at));
    EXPECT_EQ(token, made[at]);
    if (at + 1 < made.size()) logits = decoder.step({{&sequence, token}});
  }
  options.temperature = -1;
  EXPECT_NE(
      error_words(ErrorKind::invalid_argument, [&] { choose_token(logits, options, 0); }).find("--temperature: needs"),
      std::string::npos);
}

}  // namespace
}  // namespace longstride
