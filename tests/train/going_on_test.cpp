// Runs that go on beyond their end, runs that begin with another's weights, and runs that end early.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "error_words.h"
#include "io/sha256.h"
#include "longstride/error.h"
#include "longstride/model.h"
#include "train/schedule.h"
#include "train/training.h"

namespace longstride {
namespace {

class GoingOn : public Training {
 protected:
  TrainResult go_on(const std::string& name, std::optional<std::int64_t> steps = {}, std::optional<double> minutes = {},
                    const Config& config = Config()) {
    TrainObserver observer;
    observer.stepped = [&](const StepReport& r) { reports_.push_back(r); };
    observer.noted = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
    TrainOptions options;
    options.out = path(name);
    options.resume = true;
    options.steps = steps;
    options.minutes = minutes;
    return train(config, options, observer);
  }
  Config written(const std::string& name) const {
    return read_config({read_text(path(name) + "/config.json")}, {name}, {});
  }
  std::vector<float> logits(const std::string& run) const {
    return Model({.run = path(run), .checkpoint = "latest"}).logits(std::vector<std::int32_t>{1, 2, 3, 200});
  }
};

TEST_F(GoingOn, BeyondItsEndARunHasTheRatesOfOneThatWasPlannedSoLong) {
  run(config(6), "run");
  reports_.clear();
  const TrainResult result = go_on("run", 15);
  EXPECT_EQ(result.step, 15);
  ASSERT_EQ(reports_.size(), 9u);
  for (const StepReport& report : reports_)
    EXPECT_DOUBLE_EQ(report.learning_rate, learning_rate_by_steps(config(15).training, report.step));
  EXPECT_GT(reports_.front().learning_rate, 0.001);  // it had come down to 0
  EXPECT_EQ(written("run").training.steps, 15);
  EXPECT_NE(notes_.find("the run of 6 steps becomes one of 15 steps: from step 7 on"), std::string::npos) << notes_;
  EXPECT_EQ(notes_.find("edited"), std::string::npos) << notes_;
}

TEST_F(GoingOn, AnEndThatWasMovedIsThatOfTheSessionsAfterIt) {
  run(config(6), "run");
  go_on("run", 12);
  const std::string whole = model_bytes("run");
  run(config(6), "other");
  std::atomic<bool> stop = false;
  TrainObserver observer;
  observer.stepped = [&](const StepReport& r) { stop = r.step == 9; };
  train(Config(), {.out = path("other"), .resume = true, .steps = 12, .stop = &stop}, observer);
  go_on("other");
  EXPECT_EQ(model_bytes("other"), whole);
}

TEST_F(GoingOn, AnEndThatHasPassedIsRefused) {
  run(config(6), "run");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { go_on("run", 5); }),
            "--steps: counts from the run's beginning, and it has made 6 steps; needs at least as many, got 5");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { go_on("run", 9, 1); }),
            "--steps and --minutes: a run ends by one of them, got both");
  EXPECT_EQ(written("run").training.steps, 6);  // refused before anything changed
  EXPECT_NE(
      error_words(ErrorKind::invalid_argument, [&] { go_on("run", {}, 1e-9); }).find("--minutes: counts from the"),
      std::string::npos);
}

// The rate of a step by the clock is that of some moment between the step before and its own end, however long it
// takes.
TEST_F(GoingOn, ByTheClockTheScheduleIsStretchedToTheNewLength) {
  Config c = config(1000);
  c.training.minutes = 0.02;
  c.training.warmup_steps = 0;
  const auto expect_rate = [&](double rate, double share_before, double share_after) {
    const auto cosine = [](double share) { return (1 + std::cos(std::acos(-1.0) * share)) / 2; };
    const double rounding = 1e-9;
    EXPECT_LE(rate / c.training.learning_rate, cosine(share_before) + rounding);
    EXPECT_GE(rate / c.training.learning_rate, cosine(share_after) - rounding);
  };
  const auto expect_last_rate = [&] {
    const double before = reports_.size() > 1 ? reports_[reports_.size() - 2].share : 0;
    expect_rate(reports_.back().learning_rate, before, reports_.back().share);
  };
  run(c, "run");
  expect_last_rate();
  reports_.clear();
  go_on("run", {}, 0.06);
  ASSERT_FALSE(reports_.empty());
  expect_rate(reports_.front().learning_rate, 1.0 / 3, reports_.front().share);
  expect_last_rate();
  EXPECT_EQ(written("run").training.minutes, 0.06);
}

// Automatic warm-up by the clock is over after a tenth of the time, of twenty times as much a two-hundredth.
TEST_F(GoingOn, WarmUpThatIsOverIsNotRepeated) {
  Config c = config(1000);
  c.training.minutes = 0.005;
  c.training.warmup_steps = TrainingConfig::kAutomaticWarmup;
  std::int64_t made = 0;
  while (made < 40) {  // however busy the machine is
    fs::remove_all(path("run"));
    c.training.minutes *= 2;
    made = run(c, "run").step;
  }
  fs::copy(path("run"), path("other"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto expect_falling = [&](TrainOptions options) {
    std::atomic<bool> stop = false;
    std::vector<double> rates;
    TrainObserver observer;
    observer.stepped = [&](const StepReport& r) {
      rates.push_back(r.learning_rate);
      stop = r.step >= made + 15;
    };
    options.resume = true;
    options.stop = &stop;
    train(Config(), options, observer);
    ASSERT_EQ(rates.size(), 15u);
    EXPECT_GT(rates.front(), 0.9 * c.training.learning_rate);
    EXPECT_TRUE(std::is_sorted(rates.rbegin(), rates.rend()));
  };
  expect_falling({.out = path("run"), .minutes = 20 * c.training.minutes});
  expect_falling({.out = path("other"), .steps = 40 * made});
  for (const char* name : {"run", "other"}) {
    EXPECT_NE(written(name).training.warmup_steps, TrainingConfig::kAutomaticWarmup);
    EXPECT_LT(written(name).training.warmup_steps, made / 2);
  }
}

TEST_F(GoingOn, WarmUpThatIsNotOverGoesOn) {
  Config c = config(1000);
  c.training.minutes = 10;
  c.training.warmup_steps = TrainingConfig::kAutomaticWarmup;
  run(c, "run", 3);
  fs::copy(path("run"), path("other"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  go_on("run", 100);
  EXPECT_EQ(written("run").training.warmup_steps, 10);
  run(Config(), "other", 6, true);
  EXPECT_EQ(written("other").training.warmup_steps, TrainingConfig::kAutomaticWarmup);
}

TEST_F(GoingOn, ARunBeginsWithTheWeightsOfAnother) {
  run(config(6), "first");
  Config c = config(0);
  c.training.init = path("first");
  c.model.context = 35;  // its positions hold 70
  c.model.dropout = 0;
  run(c, "second");
  EXPECT_EQ(logits("second"), logits("first"));
  const Config kept = written("second");
  EXPECT_EQ(kept.training.init, find_checkpoint(path("first"), "best"));
  Sha256 hash;
  hash.update(InputFile(kept.training.init).all());
  EXPECT_EQ(kept.training.init_sha256, hash.hex());
  EXPECT_EQ(describe_checkpoint(path("second"), "latest").config.training.init, kept.training.init);

  run(kept, "third");  // from config.json again
  EXPECT_EQ(logits("third"), logits("first"));
  go_on("first", 7);
  Config other = kept;
  other.training.init = path("first/checkpoints/000000007");
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { run(other, "fourth"); })
                .find("is not the file that training.init_sha256 names"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(path("fourth")));
}

TEST_F(GoingOn, WeightsThatDoNotFitAreRefusedByTheirKey) {
  run(config(2), "first");
  const auto refused = [&](const std::function<void(Config&)>& change) {
    Config c = config(2);
    c.training.init = path("first");
    change(c);
    const std::string words = error_words(ErrorKind::invalid_argument, [&] { run(c, "second"); });
    EXPECT_FALSE(fs::exists(path("second")));
    return words;
  };
  const auto has = [](const std::string& words, const char* part) { return words.find(part) != std::string::npos; };
  const std::string vocabulary = refused([](Config& c) { c.model.vocabulary = 300; });
  EXPECT_TRUE(has(vocabulary, "model.vocabulary is 256 there, 300 here; the vocabularies must be the same"))
      << vocabulary;
  const std::string context = refused([](Config& c) {
    c.model.context = 140;
    c.model.positions = {16, 9};
  });
  EXPECT_TRUE(has(context,
                  "model.positions is [8,9] there, [16,9] here; they are part of the weights, which are for "
                  "contexts of up to 72 tokens: leave it out"))
      << context;
  EXPECT_TRUE(has(refused([](Config& c) { c.model.width = 64; }), "model.width is 32 there, 64 here"));
  EXPECT_TRUE(has(refused([&](Config& c) { c.training.init = path("none"); }), "training.init: \""));
}

TEST_F(GoingOn, ARunThatGetsNoBetterEndsEarly) {
  Config c = config(50);
  c.training.learning_rate = 0;  // every validation is the same
  c.training.validate_minutes = 1e-7;
  c.training.patience = 3;
  const TrainResult result = run(c, "run");
  EXPECT_TRUE(result.stopped_early);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.step, 4);  // the first validation is the best, three follow
  EXPECT_NE(notes_.find("stopped early: the last 3 validations were no better than that of step 1"), std::string::npos)
      << notes_;
  EXPECT_GE(result.test_bits, 0);
  EXPECT_TRUE(go_on("run").stopped_early);  // it stays ended
  EXPECT_NE(
      notes_.find("the run is finished, stopped early after 4 steps; with --steps N or --minutes M, counted from "),
      std::string::npos)
      << notes_;
  const TrainResult more = go_on("run", 60);
  EXPECT_EQ(more.step, 7);  // patience counts anew
  EXPECT_TRUE(more.stopped_early);
}

TEST_F(GoingOn, PatienceNeedsValidations) {
  Config c = config(5);
  c.training.patience = 3;
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { run(c, "run"); })
                .find("training.patience: counts validations, and training.validate_"),
            std::string::npos);
  c.training.validate_minutes = 1;
  c.data.split = {0.9, 0, 0.1};
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { run(c, "run"); }).find("the validation part of"),
            std::string::npos);
}

TEST_F(GoingOn, ConfigJsonKeepsThreadsAndDeviceAsTheyWereSet) {
  Config c = config(2);
  c.training.threads = 1;
  c.training.device = Device::cpu;
  run(c, "run");
  EXPECT_EQ(written("run").training.threads, 1);
  EXPECT_EQ(written("run").training.device, Device::cpu);
  fs::copy_file(path("data.txt"), path("moved.txt"));
  Config moved;
  moved.data.paths = {path("moved.txt")};
  go_on("run", 4, {}, moved);
  EXPECT_EQ(written("run").training.threads, 1);
  EXPECT_EQ(written("run").data.paths, moved.data.paths);
  c.training.threads = 2;
  run(c, "other");  // the same steps make the same file, whatever threads there are
  run(config(2), "none");
  EXPECT_EQ(model_bytes("other"), model_bytes("none"));
}

}  // namespace
}  // namespace longstride
