// These tests hold what every command prints with --json, and the lines of a run's log, to docs/json.md.
#include "apps/documented.h"

#include <set>
#include <sstream>

#include "apps/program.h"

namespace longstride {
namespace {

using nlohmann::json;

class Json : public Commands {
 protected:
  json told(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--json", "--quiet"});
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return done.json();
  }
};

TEST_F(Json, OfTrainingEvaluationAndSamplesIsAsDocumented) {
  const json trained = told(training("train", {"--out", path("run"), "--steps", "3"}));
  expect_documented(trained, "train");
  const std::string file = path("run/checkpoints/000000003/model.safetensors");
  EXPECT_EQ(trained["checkpoint"], file);
  const json evaluated = told({"evaluate", path("run"), "--data", path("text")});
  expect_documented(evaluated, "evaluate");
  EXPECT_EQ(evaluated["origin"], trained["origin"]);
  const json sampled = told({"sample", path("run"), "--tokens", "5", "--count", "2"});
  expect_documented(sampled, "sample");
  const json shown = told({"info", path("run")});
  expect_documented(shown, "info");
  json compared = told({"info", path("run"), path("run")});
  expect_documented(compared["runs"][0], "info");
  compared["runs"] = json::array();
  expect_documented(compared, "info of several runs");
  const json looked = told({"attention", path("run"), "--prime", path("text")});
  expect_documented(looked, "attention");
  for (const json& one : {evaluated, sampled, shown, looked}) EXPECT_EQ(one["checkpoint"], file);
  for (const json& one : {evaluated, shown, looked}) EXPECT_EQ(one["step"], 3);
}

TEST_F(Json, OfSingleBytesIsAsDocumented) {
  train(1);
  const Finished done = run({"evaluate", path("run"), "--data", path("text"), "--bytes", "5", "--per-byte", "--quiet"});
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream lines(done.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    expect_documented(json::parse(line), count < 5 ? "a byte" : "evaluate");
  EXPECT_EQ(count, 6);
}

TEST_F(Json, OfWhatNeedsNoModelIsAsDocumented) {
  expect_documented(told(training("plan", {"--steps", "3"})), "plan");
  expect_documented(told(training("plan", {"--set", "training.lanes=2", "--set", "training.accumulate=2", "--processes",
                                           "2", "--link", "25Gbit"})),
                    "plan");
  expect_documented(told({"info", "--data", path("text"), "--window", path("window")}), "info of data");
  expect_documented(told({"info"}), "info of this machine");
  for (const char* pattern : {"fixed(7,2)", "[\"window(5)\", [\"row(4)\", \"column(4)\"]]"})
    expect_documented(told({"pattern", pattern, "--length", "40"}), "pattern");
  EXPECT_EQ(told({"pattern", "dense", "--length", "40"})["share"], 1.0);  // of the pairs that are causal
  EXPECT_EQ(told({"pattern", "local(1)", "--length", "40"})["share"], 79.0 / 820);
  expect_documented(told({"doctor", "--part", "storage", "--folder", root_.string()}), "doctor");
}

// The heading of a line of the log by what only it has.
std::string heading_of(const json& line) {
  for (const auto& [key, heading] : std::map<std::string, std::string>{
           {"event", "an event"}, {"sample", "a sample"}, {"valid_bits", "a validation"}, {"loss_bits", "a step"}})
    if (line.contains(key)) return heading;
  return "nothing";
}

TEST_F(Json, LinesOfALogAreAsDocumented) {
  train(3);
  ASSERT_EQ(run({"train", "--resume", "--out", path("run"), "--quiet"}).status, 0);
  std::istringstream log(read("run/log.jsonl"));
  std::set<std::string> seen;
  for (std::string text; std::getline(log, text);) {
    const json line = json::parse(text);
    expect_documented(line, heading_of(line));
    seen.insert(heading_of(line));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"a step", "a validation", "a sample", "an event"}));
}

// What the tests above would say of a key too many, too few or of another type.
TEST(Documented, KeysAreHeldToTheirTables) {
  const DocumentedKeys keys = documented_keys("sample");
  EXPECT_EQ(keys.at("samples[].text"), "string, where it is text");
  EXPECT_EQ(keys.at("tokens"), "integer");
  EXPECT_TRUE(is_of_type(nullptr, "number or null"));
  EXPECT_TRUE(is_of_type(1.5, "number or null"));
  EXPECT_FALSE(is_of_type(nullptr, "number"));
  EXPECT_FALSE(is_of_type(1.5, "integer"));
  EXPECT_FALSE(is_of_type("1", "number"));
}

}  // namespace
}  // namespace longstride
