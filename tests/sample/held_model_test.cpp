// These tests hold a loaded model's samples against those of sample(), which loads by itself.
#include <algorithm>
#include <thread>

#include "longstride/sample.h"
#include "stored_model.h"

namespace longstride::tests {
namespace {

using Sequences = std::vector<std::vector<std::uint8_t>>;

SampleOptions options(const StoredModel& stored, Precision precision) {
  SampleOptions options;
  options.run = stored.run();
  options.tokens = 20;  // beyond the context of 12
  options.count = 3;
  options.prompts = {{1, 2, 3}, {}, {7}};
  options.precision = precision;
  return options;
}

TEST(SamplesOfAHeldModel, AreTheBytesOfSample) {
  const StoredModel stored;
  Model model = stored.load();
  for (const Precision precision : {Precision::float32, Precision::bfloat16})
    EXPECT_EQ(model.sample(options(stored, precision)), sample(options(stored, precision)));
}

TEST(SamplesOfAHeldModel, ReadTheCheckpointOnce) {
  const StoredModel stored;
  Model model = stored.load();
  const Sequences expected = sample(options(stored, Precision::float32));
  stored.remove_checkpoint();
  for (int again = 0; again < 2; ++again) EXPECT_EQ(model.sample(options(stored, Precision::float32)), expected);
  EXPECT_NE(words_of_error(ErrorKind::invalid_argument, [&] { sample(options(stored, Precision::float32)); }),
            "no error");
}

TEST(SamplesOfAHeldModel, AreInTwoThreadsWhatTheyAreAlone) {
  const StoredModel one(4), two(5);
  const Sequences of_one = sample(options(one, Precision::float32)), of_two = sample(options(two, Precision::float32));
  Sequences made;
  std::thread other([&] {
    Model model = two.load();
    for (int again = 0; again < 5; ++again) made = model.sample(options(two, Precision::float32));
  });
  Model model = one.load();
  for (int again = 0; again < 5; ++again) EXPECT_EQ(model.sample(options(one, Precision::float32)), of_one);
  other.join();
  EXPECT_EQ(made, of_two);
  EXPECT_NE(of_one, of_two);
}

TEST(SamplesOfAHeldModel, AreDecodedByHandToo) {
  const StoredModel stored;
  Model model = stored.load();
  SampleOptions greedy = options(stored, Precision::float32);
  greedy.temperature = 0;
  greedy.tokens = 8;
  greedy.count = 1;
  Decoder decoder(model);
  Decoder::Sequence sequence = decoder.join();
  std::vector<std::uint8_t> text = {1, 2, 3};
  std::span<const float> logits = sequence.read(std::vector<std::int32_t>{1, 2, 3});
  for (int made = 0; made < 8; ++made) {
    const auto token = std::max_element(logits.begin(), logits.end()) - logits.begin();
    text.push_back(static_cast<std::uint8_t>(token));
    logits = decoder.step({{&sequence, static_cast<std::int32_t>(token)}});
  }
  EXPECT_EQ(model.sample(greedy), Sequences{text});
}

TEST(SamplesOfAHeldModel, AreRefusedInTheWordsOfSample) {
  const StoredModel stored;
  Model model = stored.load();
  SampleOptions wrong = options(stored, Precision::float32);
  wrong.top_p = 0;
  const auto refused = [](const auto& action) { return words_of_error(ErrorKind::invalid_argument, action); };
  EXPECT_EQ(refused([&] { model.sample(wrong); }), "--top-p: needs a number in (0, 1] (1: off), got 0");
  EXPECT_EQ(refused([&] { model.sample(wrong); }), refused([&] { sample(wrong); }));
}

}  // namespace
}  // namespace longstride::tests
