// longstride attention as a person types it.
#include <cmath>
#include <sstream>

#include "program.h"

namespace longstride {
namespace {

using AttentionCommand = Commands;

TEST_F(AttentionCommand, TellsAndDrawsWhereHeadsLook) {
  train(3);
  const Finished told = run({"attention", path("run"), "--prime", path("text"), "--json", "--quiet", "--top", "100",
                             "--query", "0,21", "--picture", path("looks.png")});
  ASSERT_EQ(told.status, 0) << told.err;
  EXPECT_EQ(told.err, "");
  const nlohmann::json json = told.json();
  EXPECT_EQ(json["tokens"], 40);
  EXPECT_EQ(json["kind"], "text");
  EXPECT_EQ(json["step"], 3);
  ASSERT_EQ(json["rows"].size(), 4u);  // one layer, two heads, two queries
  for (const nlohmann::json& row : json["rows"]) {
    double sum = 0, bits = 0, before = 1 + 1e-5;
    for (const nlohmann::json& key : row["top"]) {
      sum += key["p"].get<double>();
      bits -= key["p"] > 0 ? key["p"].get<double>() * std::log2(key["p"].get<double>()) : 0;
      EXPECT_LE(key["p"].get<double>(), before);
      before = key["p"];
      EXPECT_EQ(key["token"].is_null(), key["key"] == 0);
    }
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_NEAR(row["entropy_bits"].get<double>(), bits, 1e-4);
    EXPECT_EQ(row["top"].size(), row["keys"]);
  }
  EXPECT_EQ(json["rows"][0]["top"][0]["key"], 0);
  EXPECT_EQ(json["rows"][1]["predicts"]["text"], read("text").substr(21, 1));
  EXPECT_EQ(read("looks.png").substr(1, 3), "PNG");
}

TEST_F(AttentionCommand, SpeaksInWordsWithoutJson) {
  train(1);
  const Finished told = run({"attention", path("run"), "--prime", path("text"), "--heads", "1", "--window", "4,20",
                             "--picture", path("looks.png")});
  ASSERT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find("layer 0, head 1, row(7) | summary(7,2,1): query 39 reads 15 keys, "), std::string::npos)
      << told.out;
  EXPECT_NE(told.err.find("queries and keys 4 to 23, layers 0 from above, heads 1 from the left"), std::string::npos);
}

// A key that is a line end stands on its own line like any other, and one key alone is no choice.
TEST_F(AttentionCommand, KeepsALineAKey) {
  train(1);
  const Finished told = run({"attention", path("run"), "--prime", path("text"), "--top", "100", "--query", "0,39"});
  ASSERT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find("   10  \\x0a\n"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("query 0 reads 1 key, 0.00 bits"), std::string::npos) << told.out;
  EXPECT_EQ(told.out.find("-0.00"), std::string::npos) << told.out;
  std::istringstream lines(told.out);
  std::string line;
  std::getline(lines, line);  // what is looked at
  while (std::getline(lines, line))
    EXPECT_TRUE(line.starts_with("layer ") || line.find(" %  key ") != std::string::npos) << line;
}

TEST_F(AttentionCommand, RefusesWhatCannotBe) {
  train(0);
  const std::vector<std::string> start = {"attention", path("run"), "--prime", path("text")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), start.begin(), start.end());
    return refused(more);
  };
  EXPECT_EQ(with({"--layers", "0,1"}),
            "longstride attention: --layers: needs whole numbers in [0, 0] with commas between them, or all, got "
            "\"0,1\"\n");
  EXPECT_NE(with({"--heads", "x"}).find("--heads: needs whole numbers in [0, 1]"), std::string::npos);
  EXPECT_NE(with({"--query", "40"}).find("--query: needs whole numbers in [0, 39]"), std::string::npos);
  EXPECT_NE(
      with({"--window", "30,11", "--picture", path("a.png")}).find("--window: needs FIRST,COUNT within the input's 40"),
      std::string::npos);
  EXPECT_NE(with({"--picture", "a.jpg"}).find("ends in .png"), std::string::npos);
  EXPECT_NE(with({"--top", "-1"}).find("--top"), std::string::npos);
  EXPECT_EQ(refused({"attention", path("run"), "--prime", path("nothing")}).find("nothing") == std::string::npos,
            false);
}

}  // namespace
}  // namespace longstride
