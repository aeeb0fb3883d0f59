// These tests hold samples against the network's own logits, also beyond the context.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>

#include "error_words.h"
#include "longstride/error.h"
#include "longstride/sample.h"
#include "model/checkpoint.h"
#include "model/network.h"
#include "model/random_weights.h"
#include "sample/choose.h"
#include "sample/generate.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::uint8_t>;
constexpr std::int64_t kContext = 11;

Config small_config(const std::string& attention) {
  Config config;
  config.model.vocabulary = 23;
  config.model.context = kContext;
  config.model.layers = 2;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.feedforward = 2;
  config.model.positions = {4, 3};
  config.model.attention = read_attention(attention);
  return read_config({write_config(config)}, {"test"}, {});
}

// A checkpoint of random weights in a folder of the test's own.
class Sample : public testing::Test {
 protected:
  Sample() : config_(small_config("fixed(4,1)")), table_(config_.model) {
    std::string pattern = (fs::temp_directory_path() / "longstride-sample-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    store_ = random_weights(table_, 4, 6, 0.8f);
    save_model(model_path(), config_, 1, table_, store_.data());
  }
  ~Sample() override { fs::remove_all(root_); }

  std::string model_path() const { return (root_ / "model.safetensors").string(); }

  SampleOptions options(std::int64_t tokens, Bytes prompt = {}) const {
    SampleOptions o;
    o.run = model_path();
    o.tokens = tokens;
    if (!prompt.empty()) o.prompts = {std::move(prompt)};
    return o;
  }

  // Logits of the token after `window`, by the whole sequence at once.
  std::vector<float> next_logits(const Bytes& window) {
    const LoadedModel loaded = load_model(*backend_, model_path(), DType::float32);
    const auto T = static_cast<std::int64_t>(window.size()) + 1;
    Network network(*backend_, config_.model, {1, T, DType::float32, false, false}, loaded.weights());
    std::vector<std::int32_t> tokens(window.begin(), window.end());
    tokens.push_back(0);  // the token whose logits are asked for: not read
    Pass pass;
    pass.tokens = tokens.data();
    const std::vector<float> all = network.logits(pass);
    return {all.end() - config_.model.vocabulary, all.end()};
  }

  Config config_;
  ParameterTable table_;
  std::vector<float> store_;
  fs::path root_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

TEST_F(Sample, TakesTheLikeliestTokenEachTimeWhereGreedyAlsoBeyondTheContext) {
  for (const std::size_t prompt_size : {0u, 3u, 10u, 11u, 30u}) {
    Bytes prompt(prompt_size);
    for (std::size_t i = 0; i < prompt_size; ++i) prompt[i] = static_cast<std::uint8_t>(i * 7 % 23);
    SampleOptions o = options(25, prompt);
    o.temperature = 0;
    const Bytes made = sample(o).front();
    ASSERT_EQ(made.size(), prompt_size + 25);
    EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), made.begin()));
    std::size_t begin = 0;  // the window moves on by half a context whenever it is full
    for (std::size_t at = prompt_size; at < made.size(); ++at) {
      while (at - begin >= static_cast<std::size_t>(kContext)) begin += kContext / 2;
      const std::vector<float> logits = next_logits(
          {made.begin() + static_cast<std::ptrdiff_t>(begin), made.begin() + static_cast<std::ptrdiff_t>(at)});
      const float highest = *std::max_element(logits.begin(), logits.end());
      EXPECT_GE(logits[made[at]], highest - 1e-4f) << prompt_size << " " << at;
    }
  }
}

TEST_F(Sample, SaysOnceThatTheWindowMovesOn) {
  std::vector<std::string> said;
  SampleOptions o = options(40);
  o.noted = [&](const std::string& sentence) { said.push_back(sentence); };
  sample(o);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said.front(),
            "the sequence has outgrown the context of 11 tokens: the window moves on by 5 whenever it is full, "
            "reading again what it keeps");
  said.clear();
  o.tokens = kContext;
  sample(o);
  EXPECT_TRUE(said.empty());
}

TEST_F(Sample, TellsEachTokenInOrderOfPosition) {
  std::vector<std::pair<std::int64_t, std::uint8_t>> told;
  SampleOptions o = options(6, {1, 2});
  o.count = 3;
  o.made = [&](std::int64_t sequence, std::uint8_t token) { told.emplace_back(sequence, token); };
  const std::vector<Bytes> made = sample(o);
  ASSERT_EQ(made.size(), 3u);
  ASSERT_EQ(told.size(), 18u);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].first, static_cast<std::int64_t>(i % 3));
    EXPECT_EQ(told[i].second, made[i % 3][2 + i / 3]);
  }
}

TEST_F(Sample, DependsOnSeedAndSequenceAndNotOnItsNeighbours) {
  SampleOptions o = options(9, {5});
  o.count = 4;
  const std::vector<Bytes> four = sample(o);
  EXPECT_EQ(sample(o), four);
  EXPECT_NE(four[0], four[1]);
  o.count = 1;
  EXPECT_EQ(sample(o).front(), four[0]);
  o.seed = 2;
  EXPECT_NE(sample(o).front(), four[0]);
  const LoadedModel loaded = load_model(*backend_, model_path(), DType::float32);
  Engine engine(*backend_, config_.model, {2, kContext, DType::float32}, loaded.weights());
  o.seed = 1;
  o.count = 4;
  for (int again = 0; again < 2; ++again) EXPECT_EQ(sample_tokens(engine, o), four);  // two at a time
}

TEST_F(Sample, DrawsTokensAsOftenAsTheModelSays) {
  SampleOptions o = options(1);
  o.count = 2000;
  const std::vector<float> logits = next_logits({});
  std::vector<double> p;
  for (const float logit : logits) p.push_back(std::exp(static_cast<double>(logit)));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  std::vector<double> counts(p.size());
  for (const Bytes& made : sample(o)) ++counts[made.at(0)];
  double chi2 = 0;
  for (std::size_t t = 0; t < p.size(); ++t) {
    const double expected = 2000 * p[t] / sum;
    chi2 += (counts[t] - expected) * (counts[t] - expected) / expected;
  }
  EXPECT_LT(chi2, 60);  // 22 degrees of freedom: one in 20,000 seeds would fail, this one is fixed
}

TEST_F(Sample, DrawsByTheNumbersOfSeedSequenceAndPosition) {
  SampleOptions o = options(6, {3, 1});
  o.count = 2;
  o.seed = 5;
  o.temperature = 2;
  const std::vector<Bytes> made = sample(o);
  Chooser chooser({o.temperature, o.top_k, o.top_p, o.min_p});
  for (std::int64_t number = 0; number < 2; ++number) {
    Bytes tokens = {3, 1};
    while (tokens.size() < 8) {
      const std::vector<float> logits = next_logits(tokens);
      const double uniform = uniform_for(o.seed, number, std::ssize(tokens));
      tokens.push_back(static_cast<std::uint8_t>(chooser.choose(logits.data(), config_.model.vocabulary, uniform)));
    }
    EXPECT_EQ(made[static_cast<std::size_t>(number)], tokens);
  }
}

TEST_F(Sample, StopsWhereItIsAsked) {
  std::atomic<bool> stop = false;
  SampleOptions o = options(100);
  o.stop = &stop;
  o.made = [&, made = 0](std::int64_t, std::uint8_t) mutable {
    if (++made == 7) stop = true;
  };
  EXPECT_EQ(sample(o).front().size(), 7u);
}

TEST_F(Sample, BeginsWithPromptsInTurnWhichChangeNoOther) {
  const std::vector<Bytes> prompts = {{1, 2, 3}, {}, {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}};
  const std::int64_t count = 8;
  SampleOptions mixed = options(15);
  mixed.prompts = prompts;
  mixed.count = count;
  const std::vector<Bytes> made = sample(mixed);
  ASSERT_EQ(std::ssize(made), count);
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    SampleOptions one = options(15, prompts[p]);
    one.count = count;
    const std::vector<Bytes> same = sample(one);
    for (std::size_t i = p; i < made.size(); i += prompts.size()) EXPECT_EQ(made[i], same[i]) << i;
  }
  const LoadedModel loaded = load_model(*backend_, model_path(), DType::float32);
  for (const std::int64_t room : {1, 3, 5}) {  // where there is less room the next joins as one is done
    Engine engine(*backend_, config_.model, {room, kContext, DType::float32}, loaded.weights());
    EXPECT_EQ(sample_tokens(engine, mixed), made) << room;
  }
}

TEST_F(Sample, LeavesTheEngineFreeWhateverEndedIt) {
  const LoadedModel loaded = load_model(*backend_, model_path(), DType::float32);
  Engine engine(*backend_, config_.model, {2, kContext, DType::float32}, loaded.weights());
  std::atomic<bool> stop = false;
  SampleOptions o = options(20, {5});
  o.count = 2;
  const std::vector<Bytes> expected = sample_tokens(engine, o);
  SampleOptions stopped = o;
  stopped.stop = &stop;
  stopped.made = [&](std::int64_t, std::uint8_t) { stop = true; };
  sample_tokens(engine, stopped);
  SampleOptions thrown = o;
  thrown.made = [](std::int64_t, std::uint8_t) { throw Error(ErrorKind::exhausted, "full"); };
  EXPECT_THROW(sample_tokens(engine, thrown), Error);
  EXPECT_EQ(sample_tokens(engine, o), expected);
}

TEST_F(Sample, OfAModelThatOverflowsIsAnErrorThatSaysWhere) {
  for (const Parameter& entry : table_.entries())  // finite weights whose products are not
    if (entry.name == "output.weight") std::fill_n(store_.begin() + entry.offset, entry.count, 3e38f);
  save_model(model_path(), config_, 1, table_, store_.data());
  for (const double temperature : {0.0, 1.0}) {
    SampleOptions o = options(3);
    o.temperature = temperature;
    const std::string words = error_words(ErrorKind::diverged, [&] { sample(o); });
    EXPECT_TRUE(words.starts_with("sample: the logit of token 0 is ")) << words;
    EXPECT_TRUE(words.ends_with("; the model's values overflow, another checkpoint may be sound")) << words;
  }
}

TEST_F(Sample, OfNoTokensIsThePrompt) { EXPECT_EQ(sample(options(0, {3, 4})).front(), (Bytes{3, 4})); }

TEST_F(Sample, RefusesWhatItCannotMake) {
  const auto words = [](const SampleOptions& o) -> std::string {
    try {
      sample(o);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(words(options(-5)), "--tokens: needs a whole number of at least 0, got -5");
  SampleOptions o = options(1);
  o.count = 0;
  EXPECT_EQ(words(o), "--count: needs a whole number of at least 1, got 0");
  EXPECT_EQ(words(options(1, {22, 23})), "prompt: byte 23 at 1 is outside the model's vocabulary of 23");
  o = options(1);
  o.temperature = -1;
  EXPECT_EQ(words(o), "--temperature: needs a number of at least 0, got -1");
}

}  // namespace
}  // namespace longstride
