// These tests read what errors of the configuration say: which key was meant, and where values came from.
#include <gtest/gtest.h>

#include "error_words.h"
#include "longstride/config.h"

namespace longstride {
namespace {

TEST(ConfigWords, NameTheKeyThatInitialsAndLongerNamesMean) {
  for (const auto& [word, key] :
       std::vector<std::pair<std::string, std::string>>{{"training.lr", "training.learning_rate"},
                                                        {"lr", "training.learning_rate"},
                                                        {"training.batch_size", "training.batch"},
                                                        {"n_layers", "model.layers"},
                                                        {"model.num_heads", "model.heads"},
                                                        {"wd", "training.weight_decay"}}) {
    const std::vector<std::string> assignments = {word + "=3"};
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { read_config({}, {}, assignments); }),
              word + ": no such key; the nearest is " + key + " (from --set)");
  }
}

TEST(ConfigWords, AreLikelyMeantWhereFewLettersDiffer) {
  const std::vector<std::string> known = {"data", "learning-rate", "prime", "stop"};
  for (const auto& [word, meant] : std::vector<std::pair<std::string, std::string>>{
           {"dta", "data"}, {"lr", "learning-rate"}, {"learnign-raet", "learning-rate"}, {"prme", "prime"}})
    EXPECT_EQ(likely_word(word, known), meant) << word;
  for (const char* word : {"prompt", "json", "d", "", "heads"})
    EXPECT_EQ(likely_word(word, known), std::nullopt) << word;
  EXPECT_EQ(likely_word("data", {}), std::nullopt);
}

TEST(ConfigWords, ValuesThatDoNotFitEachOtherSayWhereEachCameFrom) {
  const auto words = [](const std::vector<std::string>& assignments, const std::vector<std::string>& by) {
    return error_words(ErrorKind::invalid_argument,
                       [&] { read_config({R"({"model": {"heads": 3}})"}, {"run.json"}, assignments, by); });
  };
  const std::string wrong = "model.heads: must divide model.width, got 3 heads for width ";
  EXPECT_EQ(words({"model.width=64"}, {"--width"}), wrong + "64 (model.width from --width, model.heads from run.json)");
  EXPECT_EQ(words({"model.width=64", "model.width=32", "model.heads=3"}, {"--set", "--width", "--width"}),
            wrong + "32 (from --width)");
  EXPECT_EQ(words({"model.width=x"}, {"--width"}),
            "model.width: needs a whole number in [1, 65536], got \"x\" (from --width)");
  EXPECT_EQ(words({"model.width=x"}, {}), "model.width: needs a whole number in [1, 65536], got \"x\" (from --set)");
}

}  // namespace
}  // namespace longstride
