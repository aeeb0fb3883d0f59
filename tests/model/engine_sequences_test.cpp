// These tests let sequences join, leave, restart and go on in each other's place: each has the bits that it has alone.
#include <functional>
#include <random>

#include "error_words.h"
#include "longstride/device.h"
#include "model/engine_case.h"
#include "watched_backend.h"

namespace longstride {
namespace {

constexpr std::int64_t kLong = 140;  // more than two times as many rows as are read at a time

ModelConfig long_model(const std::string& layout) { return hashed(model_with(layout, kLong)); }

// Whether `read` of so many tokens, and three steps after it, have the bits of all positions one after the other.
void expect_reads_as_it_steps(const EngineCase& c, Engine& engine, Engine::Sequence place,
                              const std::vector<float>& stepped, std::int64_t count, const std::string& what) {
  engine.restart(place);
  const float* logits = engine.read(place, c.sequence(0).first(static_cast<std::size_t>(count)));
  EXPECT_TRUE(c.are_those(logits, stepped, count)) << what << ", " << count << " tokens read";
  for (std::int64_t at = count + 1; at < std::min(count + 4, c.model.context); ++at) {
    const Engine::Next next = c.next(engine, place, 0);
    EXPECT_TRUE(c.are_those(engine.step({&next, 1}), stepped, at)) << what << ", " << count << " read, at " << at;
  }
}

TEST(EngineSequences, ReadGivesTheBitsOfStepAfterStepForEveryPattern) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    for (const std::string& layout : kLayouts) {
      const EngineCase c(long_model(layout), type);
      const std::vector<float> stepped = c.alone(c.sequence(0));
      Engine engine = c.engine(1);
      const Engine::Sequence place = engine.join();
      for (const std::int64_t count : {0, 1, 2, 63, 64, 65, 128, 139})
        expect_reads_as_it_steps(c, engine, place, stepped, count, layout);
    }
  }
}

TEST(EngineSequences, ReadsInPiecesOfAnySizeToTheSameBits) {
  for (const char* layout : {"fixed(8,2)", "window(7)", R"j(["row(8)", "summary(8,2)"])j"}) {
    const EngineCase c(long_model(layout), DType::float32);
    const std::vector<float> stepped = c.alone(c.sequence(0));
    for (const std::size_t piece : {1u, 3u, 40u, 64u, 65u}) {
      Engine engine = c.engine(1);
      const Engine::Sequence place = engine.join();
      std::span<const std::int32_t> left = c.sequence(0).first(kLong - 1);
      while (!left.empty()) {
        const std::size_t now = std::min(piece, left.size());
        const float* logits = engine.read(place, left.first(now));
        left = left.subspan(now);
        ASSERT_TRUE(c.are_those(logits, stepped, engine.position(place) - 1)) << layout << ", pieces of " << piece;
      }
      EXPECT_EQ(engine.position(place), kLong);
    }
  }
}

// Sequences of different lengths in the places of one engine, driven by chance; each result is held against the bits
// that its sequence has alone.
class Schedule {
 public:
  Schedule(const EngineCase& c, std::int64_t places, unsigned seed)
      : c_(c), engine_(c.engine(places)), chance_(seed), tokens_(c.tokens_for(kRows)) {
    for (std::int64_t row = 0; row < kRows; ++row) alone_.push_back(c.alone(row_of(row)));
  }

  void run(int turns) {
    for (int turn = 0; turn < turns; ++turn) {
      switch (below(8)) {
        case 0:
          join();
          break;
        case 1:
          leave();
          break;
        case 2:
          read();
          break;
        case 3:
          copy();
          break;
        default:
          step();
      }
    }
    EXPECT_GT(compared_, turns / 3);  // the schedule says something
  }

 private:
  static constexpr std::int64_t kRows = 5;
  struct Held {
    Engine::Sequence place;
    std::int64_t row, length;
  };

  std::int64_t below(std::int64_t count) { return static_cast<std::int64_t>(chance_()) % count; }
  std::span<const std::int32_t> row_of(std::int64_t row) const {
    return std::span(tokens_).subspan(static_cast<std::size_t>(row * c_.model.context),
                                      static_cast<std::size_t>(c_.model.context));
  }
  Held& any() { return held_[static_cast<std::size_t>(below(std::ssize(held_)))]; }

  void expect(const Held& held, const float* logits) {
    const std::int64_t at = engine_.position(held.place) - 1;
    ++compared_;
    EXPECT_TRUE(c_.are_those(logits, alone_[static_cast<std::size_t>(held.row)], at))
        << "sequence " << held.row << " at " << at << " beside " << held_.size() - 1;
  }

  void join() {
    if (std::ssize(held_) == engine_.shape().sequences) return;
    held_.push_back({engine_.join(), below(kRows), 1 + below(c_.model.context)});
    EXPECT_EQ(engine_.position(held_.back().place), 0);
  }

  void leave() {
    if (held_.empty()) return;
    const auto which = held_.begin() + below(std::ssize(held_));
    if (below(2) == 0) {
      engine_.restart(which->place);
      return;
    }
    engine_.leave(which->place);
    held_.erase(which);
  }

  void read() {
    if (held_.empty()) return;
    const Held& held = any();
    const std::int64_t at = engine_.position(held.place), first = std::max<std::int64_t>(0, at - 1);
    const std::int64_t most = held.length - 1 - first;
    if (most < 1) return;
    const std::int64_t count = 1 + below(most);
    expect(held, engine_.read(held.place, row_of(held.row).subspan(static_cast<std::size_t>(first),
                                                                   static_cast<std::size_t>(count))));
  }

  void copy() {
    if (held_.size() < 2) return;
    Held& to = held_.back();
    const Held& from = held_[static_cast<std::size_t>(below(std::ssize(held_) - 1))];
    engine_.copy(from.place, to.place);
    to.row = from.row, to.length = c_.model.context;
    EXPECT_EQ(engine_.position(to.place), engine_.position(from.place));
  }

  // Some of those that are not done, in an order of chance.
  void step() {
    std::vector<Held> now;
    for (const Held& held : held_)
      if (engine_.position(held.place) < held.length && below(4) > 0) now.push_back(held);
    if (now.empty()) return join();
    std::shuffle(now.begin(), now.end(), chance_);
    std::vector<Engine::Next> next;
    for (const Held& held : now) {
      const std::int64_t at = engine_.position(held.place);
      next.push_back({held.place, at == 0 ? -1 : row_of(held.row)[static_cast<std::size_t>(at - 1)]});
    }
    const float* logits = engine_.step(next);
    for (std::size_t i = 0; i < now.size(); ++i)
      expect(now[i], logits + static_cast<std::int64_t>(i) * c_.model.vocabulary);
  }

  const EngineCase& c_;
  Engine engine_;
  std::minstd_rand chance_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::vector<float>> alone_;
  std::vector<Held> held_;
  int compared_ = 0;
};

TEST(EngineSequences, HaveTheirOwnBitsWhateverIsDecodedBesideThem) {
  unsigned seed = 1;
  for (const DType type : {DType::float32, DType::bfloat16}) {
    for (const char* layout :
         {"fixed(8,2)", "window(7)", R"j([["fixed(9,2)", "dense", "summary(5,2)"], "window(3)"])j"}) {
      const EngineCase c(hashed(model_with(layout)), type);
      for (const std::int64_t places : {2, 5, 9}) Schedule(c, places, seed++).run(150);
    }
  }
}

TEST(EngineSequences, HaveTheirOwnBitsWhereAnEngineIsFull) {
  const EngineCase c(model_with("fixed(8,2)"), DType::float32);
  Engine engine = c.engine(kMostSequences);
  const std::vector<float> expected[] = {c.alone(c.sequence(0)), c.alone(c.sequence(1))};
  std::vector<Engine::Next> next(kMostSequences);
  for (Engine::Next& one : next) one.sequence = engine.join();
  for (std::int64_t at = 0; at < 12; ++at) {
    for (Engine::Next& one : next) one = c.next(engine, one.sequence, one.sequence % 2);
    const float* logits = engine.step(next);
    for (std::size_t i = 0; i < next.size(); ++i)
      EXPECT_TRUE(c.are_those(logits + static_cast<std::int64_t>(i) * c.model.vocabulary, expected[i % 2], at)) << i;
  }
}

TEST(EngineSequences, GoOnFromACopyOfWhatAnotherHasRead) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    EngineCase c(hashed(model_with("fixed(8,2)")), type);
    std::copy_n(c.tokens.begin(), 20, c.tokens.begin() + c.model.context);  // they part at position 20
    const std::vector<float> whole = c.whole();
    Engine engine = c.engine(3);
    const Engine::Sequence first = engine.join(), second = engine.join(), bystander = engine.join();
    engine.read(bystander, c.sequence(1).first(5));
    engine.read(first, c.sequence(0).first(20));
    engine.copy(first, second);
    EXPECT_EQ(engine.position(second), 21);
    std::vector<float> found = c.decoded(engine, first, second), expected = whole;
    for (std::int64_t b = 0; b < kSequences; ++b)  // what was read at once has no logits
      std::fill_n(expected.begin() + b * c.model.context * c.model.vocabulary, 21 * c.model.vocabulary, 0.0f);
    expect_near(found, expected, tolerance_of(type), "alike");
    EXPECT_EQ(engine.position(bystander), 6);
    const std::vector<float> alone = c.alone(c.sequence(1));
    const Engine::Next next = c.next(engine, bystander, 1);
    EXPECT_TRUE(c.are_those(engine.step({&next, 1}), alone, 6));
  }
}

TEST(EngineSequences, GiveTheSameBitsAgainAfterARestart) {
  const EngineCase c(hashed(model_with("fixed(8,2)")), DType::float32);
  Engine engine = c.engine(kSequences);
  const Engine::Sequence first = engine.join(), second = engine.join();
  const std::vector<float> once = c.decoded(engine, first, second);
  EXPECT_EQ(engine.position(first), c.model.context);
  engine.restart(first), engine.restart(second);
  EXPECT_EQ(engine.position(first), 0);
  EXPECT_EQ(c.decoded(engine, first, second), once);
}

TEST(EngineSequences, StopInTheMiddleOfATextAndGoOnToTheSameBits) {
  for (const char* layout : {"fixed(8,2)", "window(7)"}) {
    const EngineCase c(long_model(layout), DType::float32);
    const std::vector<float> stepped = c.alone(c.sequence(0));
    tests::WatchedBackend backend(*c.backend);
    Engine engine(backend, c.model, {1, kLong, c.type}, c.weights());
    const Engine::Sequence place = engine.join();
    std::atomic<bool> stop = false;
    backend.uploaded = [&] { stop = true; };  // while the first rows are read
    EXPECT_EQ(engine.read(place, c.sequence(0).first(kLong - 1), &stop), nullptr);
    EXPECT_EQ(engine.position(place), Engine::kReadRows);
    EXPECT_EQ(engine.read(place, c.sequence(0).first(1), &stop), nullptr);  // it is told so before it begins
    EXPECT_EQ(engine.position(place), Engine::kReadRows);
    stop = false;
    backend.uploaded = nullptr;
    const auto rest = c.sequence(0).subspan(Engine::kReadRows - 1, kLong - Engine::kReadRows);
    EXPECT_TRUE(c.are_those(engine.read(place, rest, &stop), stepped, kLong - 1)) << layout;
  }
}

TEST(EngineSequences, ForgetTheirTokensWhereAPassFailsAndOthersDoNot) {
  const EngineCase c(model_with("fixed(8,2)"), DType::float32);
  const std::vector<float> first_alone = c.alone(c.sequence(0)), other_alone = c.alone(c.sequence(1));
  tests::WatchedBackend backend(*c.backend);
  Engine engine(backend, c.model, {2, c.model.context, c.type}, c.weights());
  const Engine::Sequence first = engine.join(), other = engine.join();
  const auto refuse = [] { throw Error(ErrorKind::exhausted, "no memory"); };
  for (const bool stepped : {true, false}) {
    engine.restart(first), engine.restart(other);
    engine.read(first, c.sequence(0).first(7)), engine.read(other, c.sequence(1).first(9));
    backend.running = refuse;
    const Engine::Next next = c.next(engine, first, 0);
    if (stepped)
      EXPECT_THROW(engine.step({&next, 1}), Error);
    else
      EXPECT_THROW(engine.read(first, c.sequence(0).subspan(7, 5)), Error);
    backend.running = nullptr;
    EXPECT_EQ(engine.position(first), 0);
    EXPECT_TRUE(c.are_those(engine.read(first, c.sequence(0).first(12)), first_alone, 12));
    const Engine::Next of_other = c.next(engine, other, 1);
    EXPECT_TRUE(c.are_those(engine.step({&of_other, 1}), other_alone, 10));
  }
}

TEST(EngineSequences, StandWhereTheyAreAssumedToStand) {
  const EngineCase c(model_with("fixed(8,2)"), DType::float32);
  Engine engine = c.engine(2);
  const Engine::Sequence assumed = engine.join(), beside = engine.join();
  const std::vector<float> alone = c.alone(c.sequence(1));
  engine.read(beside, c.sequence(1).first(9));
  engine.assume(assumed, 40);
  EXPECT_EQ(engine.position(assumed), 40);
  const Engine::Next next[] = {{assumed, 3}, c.next(engine, beside, 1)};
  const float* logits = engine.step(next);
  for (std::int64_t v = 0; v < c.model.vocabulary; ++v) EXPECT_TRUE(std::isfinite(logits[v]));
  EXPECT_TRUE(c.are_those(logits + c.model.vocabulary, alone, 10));
  engine.assume(assumed, 2);
  EXPECT_EQ(engine.position(assumed), 2);
}

template <class Action>
std::string words(const Action& action) {
  return words_of_error(ErrorKind::invalid_argument, action);
}

TEST(EngineSequences, NeedAnEngineThatCanBe) {
  const EngineCase c(model_with("dense"), DType::float32);
  const auto make = [&](std::int64_t sequences, std::int64_t length) {
    return words([&] { c.engine(sequences, length); });
  };
  EXPECT_EQ(make(0, 45), "engine: needs 1 to 64 sequences, got 0");
  EXPECT_EQ(make(65, 45), "engine: needs 1 to 64 sequences, got 65");
  EXPECT_EQ(make(1, 46), "engine: needs a length of 1 to 45 positions, got 46 (the model's context is 45)");
  EXPECT_EQ(make(1, 0), "engine: needs a length of 1 to 45 positions, got 0 (the model's context is 45)");
}

TEST(EngineSequences, AreRefusedWhatTheyCannotDecodeAndStayWhereTheyWere) {
  const EngineCase c(model_with("dense"), DType::float32);
  Engine engine = c.engine(2, 2);
  const Engine::Sequence place = engine.join();
  const auto step = [&](std::vector<Engine::Next> next) { return words([&] { engine.step(next); }); };
  const auto read = [&](std::vector<std::int32_t> tokens) { return words([&] { engine.read(place, tokens); }); };
  EXPECT_EQ(step({}), "engine: needs a sequence to step");
  EXPECT_EQ(step({{1, -1}}), "engine: has no sequence 1");
  EXPECT_EQ(step({{2, -1}}), "engine: has no sequence 2");
  EXPECT_EQ(step({{-1, -1}}), "engine: has no sequence -1");
  EXPECT_EQ(step({{place, 3}}), "engine: position 0 needs a token before it in [-1, -1], got 3");
  EXPECT_EQ(read({19}), "engine: position 1 needs a token before it in [0, 18], got 19");
  EXPECT_EQ(read({3, 4}), "engine: position 2 is beyond its length of 2");
  EXPECT_EQ(engine.position(place), 0);
  EXPECT_EQ(step({{place, -1}}), "no error");
  EXPECT_EQ(step({{place, 19}}), "engine: position 1 needs a token before it in [0, 18], got 19");
  EXPECT_EQ(step({{place, -1}}), "engine: position 1 needs a token before it in [0, 18], got -1");
  EXPECT_EQ(read({}), "engine: needs a token to read");
  const Engine::Sequence other = engine.join();
  EXPECT_EQ(step({{other, -1}, {place, 5}, {other, -1}}), "engine: steps sequence 1 twice");
  EXPECT_EQ(engine.position(other), 0);
  EXPECT_EQ(words([&] { engine.join(); }), "engine: has no room beside its 2 sequences");
  engine.leave(other);
  EXPECT_EQ(step({{other, -1}}), "engine: has no sequence 1");
  for (const auto& action : std::vector<std::function<void()>>{
           [&] { engine.leave(other); }, [&] { engine.restart(other); }, [&] { engine.copy(other, place); },
           [&] { engine.copy(place, other); }, [&] { engine.assume(other, 0); }, [&] { engine.position(other); }})
    EXPECT_EQ(words(action), "engine: has no sequence 1");
  EXPECT_EQ(engine.position(place), 1);
  EXPECT_EQ(step({{place, 18}}), "no error");
  EXPECT_EQ(step({{place, 18}}), "engine: position 2 is beyond its length of 2");
  EXPECT_EQ(read({18}), "engine: position 2 is beyond its length of 2");
  EXPECT_EQ(words([&] { engine.assume(place, 2); }), "engine: needs a position of 0 to 1, got 2");
  EXPECT_EQ(words([&] { engine.assume(place, -1); }), "engine: needs a position of 0 to 1, got -1");
}

}  // namespace
}  // namespace longstride
