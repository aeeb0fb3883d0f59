// These tests lay layers of a configuration over each other where one key says something of another: the end of a run,
// its warm-up, and the positions of weights that are there.
#include <gtest/gtest.h>

#include "error_words.h"
#include "longstride/config.h"

namespace longstride {
namespace {

const std::string kByClock = R"({"training": {"minutes": 3, "warmup_steps": 50}})";

TrainingConfig over_the_clock(const std::string& file, const std::vector<std::string>& assignments = {}) {
  return read_config({kByClock, file}, {"preset", "my.json"}, assignments).training;
}

TEST(ConfigLayers, StepsOfALaterLayerEndARunByTheClock) {
  const TrainingConfig by_file = over_the_clock(R"({"training": {"steps": 7}})");
  EXPECT_EQ(by_file.steps, 7);
  EXPECT_EQ(by_file.minutes, 0);
  EXPECT_EQ(by_file.warmup_steps, 50);
  for (const char* assignment : {"training.steps=5", "training={\"steps\": 5}"}) {
    const TrainingConfig by_set = over_the_clock("{}", {assignment});
    EXPECT_EQ(by_set.steps, 5) << assignment;
    EXPECT_EQ(by_set.minutes, 0) << assignment;
  }
}

TEST(ConfigLayers, MinutesOfALaterOrTheSameLayerEndARunBySteps) {
  EXPECT_EQ(over_the_clock(R"({"training": {"steps": 7}})", {"training.minutes=2"}).minutes, 2);
  EXPECT_EQ(over_the_clock(R"({"training": {"steps": 7, "minutes": 2}})").minutes, 2);
  EXPECT_EQ(over_the_clock("{}", {"training.minutes=2", "training.steps=5"}).minutes, 2);
  EXPECT_EQ(over_the_clock("{}", {"training.steps=5", "training.minutes=2"}).minutes, 2);
  EXPECT_EQ(over_the_clock(R"({"training": {"batch": 7}})", {"training.batch=2"}).minutes, 3);
  const TrainingConfig whole = over_the_clock(write_config(read_config({kByClock}, {"preset"}, {})));  // of a run
  EXPECT_EQ(whole.minutes, 3);
}

TEST(ConfigLayers, WarmUpThatNobodySetsFollowsTheEndOfTheRun) {
  const auto warmup = [](const std::vector<std::string>& set) {
    return read_config({}, {}, set).training.warmup_steps;
  };
  EXPECT_EQ(warmup({"training.steps=200"}), 20);
  EXPECT_EQ(warmup({"training.steps=200", "training.warmup_steps=auto"}), 20);
  EXPECT_EQ(warmup({"training.minutes=2"}), TrainingConfig::kAutomaticWarmup);
  EXPECT_EQ(warmup({"training.minutes=2", "training.steps=200"}), TrainingConfig::kAutomaticWarmup);
  EXPECT_EQ(warmup({"training.minutes=2", "training.warmup_steps=70"}), 70);
  const Config by_clock = read_config({}, {}, {"training.minutes=2"});
  EXPECT_NE(write_config(by_clock).find("\"warmup_steps\": \"auto\""), std::string::npos);
  EXPECT_EQ(read_config({write_config(by_clock)}, {"config.json"}, {}).training.warmup_steps,
            TrainingConfig::kAutomaticWarmup);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { warmup({"training.warmup_steps=-1"}); }),
            "training.warmup_steps: needs a whole number in [0, 1000000000000] or auto, got -1 (from --set)");
}

TEST(ConfigLayers, AssignmentsSayWhichKeysTheySet) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(assigned_keys("model.width=32"), Keys{"model.width"});
  EXPECT_EQ(assigned_keys("model={\"width\": 32, \"context\": 8}"), (Keys{"model.context", "model.width"}));
  EXPECT_EQ(assigned_keys("data.paths=[\"a\"]"), Keys{"data.paths"});
  EXPECT_EQ(assigned_keys("model={}"), Keys{});
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { assigned_keys("model.widht=3", "--width"); }),
            "model.widht: no such key; the nearest is model.width (from --width)");
}

TEST(ConfigLayers, MorePositionsThanWeightsHoldAreNotAdvised) {
  const std::string weights =
      R"({"model": {"context": 512, "positions": [16, 32]}, "training": {"init": "runs/first"}})";
  const auto words = [&](const std::vector<std::string>& assignments) {
    return error_words(ErrorKind::invalid_argument,
                       [&] { read_config({weights}, {"--init runs/first"}, assignments, {"--context"}); });
  };
  EXPECT_EQ(words({"model.context=1024"}),
            "model.context: the weights of \"runs/first\" hold positions for contexts of up to 512 tokens, got 1,024 "
            "(from --context)");
  EXPECT_EQ(words({"model.context=1024", "model.positions=[4, 4]"}),  // these are no weights'
            "model.positions: the product of the extents must be at least model.context, got 4 x 4 = 16 for a context "
            "of 1024 (model.context from --context, model.positions from --set)");
  EXPECT_EQ(read_config({weights}, {"--init runs/first"}, {"model.context=100"}).model.context, 100);
}

TEST(ConfigLayers, ASectionThatIsSpeltWronglyIsNamedWhole) {
  const auto words = [](const std::string& text) {
    return error_words(ErrorKind::invalid_argument, [&] { read_config({text}, {"my.json"}, {}); });
  };
  const auto nearest = [](const std::string& key, const std::string& known) {
    return key + ": no such key; the nearest is " + known + " (from my.json)";
  };
  EXPECT_EQ(words(R"({"trainig": {}})"), nearest("trainig", "training"));
  EXPECT_EQ(words(R"({"trainig": {"steps": 1, "batch": 2}})"), nearest("trainig", "training"));
  EXPECT_EQ(words(R"({"modle": 3})"), nearest("modle", "model"));
  EXPECT_EQ(words(R"({"trainig": {"steps": 1}})"), nearest("trainig.steps", "training.steps"));
  EXPECT_EQ(words(R"({"steps": 1})"), nearest("steps", "training.steps"));
}

TEST(ConfigLayers, ValuesThatOthersHideAreLookedAtToo) {
  const auto words_of = [](const std::vector<std::string>& texts, const std::vector<std::string>& assignments) {
    return error_words(ErrorKind::invalid_argument, [&] { read_config(texts, {"run.json"}, assignments); });
  };
  const std::string in_file = words_of({R"({"training": {"steps": true}})"}, {"training.steps=2"});
  EXPECT_TRUE(in_file.starts_with("training.steps: needs ") && in_file.ends_with("got true (from run.json)"))
      << in_file;
  const std::string earlier = words_of({}, {"model.width=wide", "model.width=8"});
  EXPECT_TRUE(earlier.ends_with("got \"wide\" (from --set)")) << earlier;
}

}  // namespace
}  // namespace longstride
