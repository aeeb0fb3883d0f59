// These tests hold a loaded model's logits and decodings against one another, in one thread and in two.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <thread>

#include "longstride/device.h"
#include "ops/backend.h"
#include "stored_model.h"

namespace longstride::tests {
namespace {

using Tokens = std::vector<std::int32_t>;
using Logits = std::vector<float>;

Logits copied(std::span<const float> logits) { return {logits.begin(), logits.end()}; }
Logits row(const Logits& all, std::int64_t t, std::int64_t V) {
  return {all.begin() + t * V, all.begin() + (t + 1) * V};
}

// Values of about 1 in float32 after sums of 16 to 32: the orders of summation differ by some 1e-6.
void expect_near(const Logits& a, const Logits& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t v = 0; v < a.size(); ++v) ASSERT_LE(std::abs(a[v] - b[v]), 2e-5f) << v;
}

std::string refused(const std::function<void()>& action) { return words_of_error(ErrorKind::invalid_argument, action); }

TEST(HeldModel, SaysWhatWasLoaded) {
  const StoredModel stored;
  Model model = stored.load();
  EXPECT_EQ(write_config(model.config()), write_config(stored.config()));
  EXPECT_EQ(model.path(), stored.file());
  EXPECT_EQ(model.step(), 42);
  EXPECT_EQ(model.parameters(), stored.parameters());
  EXPECT_EQ(model.device(), "cpu");
  EXPECT_EQ(model.precision(), Precision::float32);
  EXPECT_EQ(Model({.run = stored.file(), .precision = Precision::bfloat16}).precision(), Precision::bfloat16);
  EXPECT_EQ(Model({.run = stored.run(), .precision = Precision::automatic}).precision(),
            Precision::float32);  // what the run trained with
}

TEST(HeldModel, GivesLogitsThatAgreeWithDecodingStepByStep) {
  const StoredModel stored(7, 23);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    Model model = stored.load(precision);
    const Tokens tokens = some_tokens(StoredModel::kContext - 1, 23);
    const Logits all = model.logits(tokens);
    ASSERT_EQ(all.size(), 12u * 23u);
    Decoder decoder(model);
    Decoder::Sequence sequence = decoder.join();
    Logits stepped = copied(sequence.read({}));
    for (std::int64_t t = 0;; ++t) {
      if (precision == Precision::float32) expect_near(row(all, t, 23), stepped);
      EXPECT_EQ(sequence.tokens_read(), t);
      EXPECT_EQ(model.next_logits(std::span(tokens).first(static_cast<std::size_t>(t))), stepped);
      if (t == std::ssize(tokens)) break;
      stepped = copied(decoder.step({{&sequence, tokens[static_cast<std::size_t>(t)]}}));
    }
  }
}

TEST(HeldModel, GivesTheSameLogitsWhateverWasAskedBefore) {
  const StoredModel stored(7, 23);
  Model model = stored.load();
  const Tokens tokens = some_tokens(9, 23);
  const Logits first = model.logits(tokens);
  EXPECT_EQ(model.logits(tokens), first);
  model.logits(std::span(tokens).first(3));
  model.next_logits(tokens);
  EXPECT_EQ(model.logits(tokens), first);
  Model moved = std::move(model);
  EXPECT_EQ(moved.logits(tokens), first);
}

TEST(HeldModel, DecodesSequencesOfDifferentLengthsTogetherAsEachAlone) {
  const StoredModel stored(7, 23);
  Model model = stored.load();
  const Tokens longer = some_tokens(7, 23, 1), shorter = some_tokens(3, 23, 2), fresh = some_tokens(2, 23, 3);
  const auto alone = [&](Tokens tokens, const Tokens& more) {
    std::vector<Logits> all;
    for (const std::int32_t token : more) {
      tokens.push_back(token);
      all.push_back(model.next_logits(tokens));
    }
    return all;
  };
  Decoder decoder(model, {.sequences = 3, .length = 10});
  Decoder::Sequence a = decoder.join(), b = decoder.join(), c = decoder.join();
  EXPECT_EQ(copied(a.read(longer)), model.next_logits(longer));
  EXPECT_EQ(copied(b.read(shorter)), model.next_logits(shorter));
  const std::vector<Logits> of_a = alone(longer, fresh), of_b = alone(shorter, fresh), of_c = alone({}, fresh);
  for (std::size_t t = 0; t < fresh.size(); ++t) {  // c has not begun when it steps for the first time
    const Logits together = copied(decoder.step({{&b, fresh[t]}, {&c, fresh[t]}, {&a, fresh[t]}}));
    EXPECT_EQ(row(together, 0, 23), of_b[t]);
    EXPECT_EQ(row(together, 1, 23), of_c[t]);
    EXPECT_EQ(row(together, 2, 23), of_a[t]);
  }
}

TEST(HeldModel, LetsSequencesForkRestartAndLeave) {
  const StoredModel stored(7, 23);
  Model model = stored.load();
  const Tokens tokens = some_tokens(6, 23);
  Decoder decoder(model, {.sequences = 2});
  Decoder::Sequence a = decoder.join();
  a.read(std::span(tokens).first(4));
  {
    Decoder::Sequence b = a.fork();
    EXPECT_EQ(b.tokens_read(), 4);
    EXPECT_EQ(refused([&] { decoder.join(); }),
              "decoder: has no room beside its 2 sequences; one must leave before another joins");
    EXPECT_EQ(copied(b.read(std::span(tokens).subspan(4))), model.next_logits(tokens));
  }
  Decoder::Sequence c = decoder.join();  // in b's place
  c.leave();
  EXPECT_TRUE(c.left());
  EXPECT_EQ(refused([&] { c.tokens_read(); }), "decoder: the sequence has left");
  c = decoder.join();
  EXPECT_EQ(c.tokens_read(), 0);
  a.restart();
  EXPECT_EQ(a.tokens_read(), 0);
  EXPECT_EQ(copied(a.read(tokens)), model.next_logits(tokens));
}

TEST(HeldModel, LivesAsLongAsASequenceOfIt) {
  const StoredModel stored(7, 23);
  const Tokens tokens = some_tokens(5, 23);
  auto model = std::make_unique<Model>(stored.load());
  const Logits expected = model->next_logits(tokens);
  auto decoder = std::make_unique<Decoder>(*model);
  Decoder::Sequence sequence = decoder->join();
  model.reset();
  decoder.reset();
  EXPECT_EQ(copied(sequence.read(tokens)), expected);
}

TEST(HeldModel, StopsReadingWhereItIsToldAndGoesOn) {
  const StoredModel stored(7, 23);
  Model model = stored.load();
  const Tokens tokens = some_tokens(5, 23);
  std::atomic<bool> stop = true;
  Decoder decoder(model);
  Decoder::Sequence sequence = decoder.join();
  EXPECT_TRUE(sequence.read(tokens, &stop).empty());
  EXPECT_EQ(sequence.tokens_read(), 0);
  EXPECT_EQ(words_of_error(ErrorKind::stopped, [&] { model.next_logits(tokens, &stop); }),
            "logits: stopped before all tokens were read");
  stop = false;
  EXPECT_EQ(copied(sequence.read(tokens, &stop)), model.next_logits(tokens));
}

// Enough tokens that most of them go through tiles.
TEST(HeldModel, ReadsLongPromptsNearlyOrExactlyAsTokenByToken) {
  const StoredModel stored(7, 23, 402);
  Model model = stored.load();
  const Tokens tokens = some_tokens(400, 23);
  Decoder exact(model, {.sequences = 2, .exact = true}), fast(model);
  Decoder::Sequence stepped = exact.join(), read = exact.join(), tiled = fast.join();
  Logits expected;
  for (const std::int32_t token : tokens) expected = copied(exact.step({{&stepped, token}}));
  EXPECT_EQ(copied(read.read(tokens)), expected);
  const Logits found = copied(tiled.read(tokens));
  EXPECT_EQ(found, model.next_logits(tokens));
  ASSERT_EQ(found.size(), expected.size());
  double worst = 0, largest = 0;
  for (std::size_t v = 0; v < found.size(); ++v) {
    worst = std::max(worst, std::isfinite(found[v]) ? std::abs(double{found[v]} - double{expected[v]}) : INFINITY);
    largest = std::max(largest, std::abs(double{expected[v]}));
  }
  EXPECT_LE(worst, 2e-5 * largest);
  EXPECT_NE(found, expected);  // else all of it was read as rows
}

TEST(HeldModel, GivesInTwoThreadsTheBitsThatEachGetsAlone) {
  const StoredModel one(7, 23), two(8, 23);
  const auto ask = [](const StoredModel& stored, std::vector<Logits>& all) {
    Model model = stored.load();
    for (std::int64_t T = 0; T < StoredModel::kContext; ++T) {
      const Tokens tokens = some_tokens(T, 23);
      all.push_back(model.logits(tokens));
      all.push_back(model.next_logits(tokens));
    }
  };
  std::vector<Logits> alone[2], together[2];
  ask(one, alone[0]);
  ask(two, alone[1]);
  std::thread other([&] { ask(two, together[1]); });
  ask(one, together[0]);
  other.join();
  EXPECT_EQ(together[0], alone[0]);
  EXPECT_EQ(together[1], alone[1]);
  EXPECT_NE(alone[0], alone[1]);
}

TEST(HeldModel, GoesOnWhenTheNumberOfThreadsIsAnother) {
  const StoredModel stored(7, 23);
  set_threads(1);
  Model model = stored.load();
  Decoder decoder(model);
  Decoder::Sequence a = decoder.join();
  const Tokens tokens = some_tokens(8, 23);
  const Logits expected = model.logits(tokens), next = copied(a.read(tokens));
  set_threads(3);
  a.restart();
  EXPECT_EQ(model.logits(tokens), expected);
  EXPECT_EQ(copied(a.read(tokens)), next);
  set_threads(0);
}

TEST(HeldModel, RefusesWhatItCannotRead) {
  const StoredModel stored(7, 23);
  Model model = stored.load();
  const Tokens many = some_tokens(12, 23), foreign = {1, 23};
  EXPECT_EQ(refused([&] { model.logits(many); }),
            "logits: needs at most 11 tokens, got 12 (the model's context is 12, of which the last is only predicted)");
  EXPECT_EQ(refused([&] { model.next_logits(foreign); }), "logits: token 23 at 1 is outside the vocabulary of 23");
  EXPECT_EQ(refused([&] { Decoder(model, {.sequences = 65}); }), "decoder: needs 1 to 64 sequences, got 65");
  EXPECT_EQ(refused([&] { Decoder(model, {.length = 13}); }),
            "decoder: needs a length of 1 to 12 tokens, or 0 for the model's context, got 13");
  Decoder decoder(model, {.sequences = 2, .length = 3}), other(model);
  Decoder::Sequence a = decoder.join(), stranger = other.join();
  EXPECT_EQ(refused([&] {
              a.read(Tokens{1, 2, 3});
            }),
            "decoder: a sequence of 0 tokens has room for 2 more, got 3 (its length is 3, of which the last is only "
            "predicted)");
  EXPECT_EQ(refused([&] { a.read(foreign); }), "decoder: token 23 at 1 is outside the vocabulary of 23");
  EXPECT_EQ(refused([&] { decoder.step({}); }), "decoder: needs a sequence to step, got none");
  EXPECT_EQ(refused([&] { decoder.step({{&a, 1}, {&a, 2}}); }), "decoder: steps a sequence twice at once");
  EXPECT_EQ(refused([&] { decoder.step({{&a, 1}, {&stranger, 2}}); }), "decoder: steps a sequence that is not in it");
  EXPECT_EQ(a.tokens_read(), 0);
  a.read({});
  EXPECT_EQ(refused([&] { a.read({}); }), "decoder: needs a token to read, got none");
  decoder.step({{&a, 1}});
  decoder.step({{&a, 2}});
  EXPECT_EQ(refused([&] {
              decoder.step({{&a, 3}});
            }),
            "decoder: a sequence of 2 tokens has room for 0 more, got 1 (its length is 3, of which the last is only "
            "predicted)");
  EXPECT_EQ(refused([&] { Model({.run = stored.run(), .checkpoint = "43"}); }),
            "--checkpoint: run \"" + stored.run() + "\" has none of step 43; it has 42");
  EXPECT_EQ(words_of_error(ErrorKind::unavailable, [&] { Model({.run = stored.run(), .device = Device::cuda}); }),
            "device: " + why_no_cuda() + "; needs cpu");
}

}  // namespace
}  // namespace longstride::tests
