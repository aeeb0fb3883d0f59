// What a run begins with: which end it has, which preset, which weights; and that a plan refuses what a run refuses.
#include "apps/program.h"

namespace longstride {
namespace {

using nlohmann::json;

class Beginnings : public Commands {
 protected:
  json config_of(const std::string& run) const { return json::parse(read(run + "/config.json")); }

  // (count, side, side, 3) of uint8, or of what `type` says.
  void write_array(const std::string& name, int count, int side, const std::string& type = "|u1") const {
    const std::string extents = std::to_string(count) + ", " + std::to_string(side) + ", " + std::to_string(side);
    std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + extents + ", 3), }";
    header.resize(118, ' ');
    header.back() = '\n';
    std::string array = std::string("\x93NUMPY\x01\x00", 8) + std::string("\x76\x00", 2) + header;
    for (int at = 0; at < count * side * side * 3; ++at) array += static_cast<char>(at * at % 251);
    write(name, array);
  }

  // The sentence of `train`, which `plan` says too, with the same status.
  std::string refused_by_both(std::vector<std::string> arguments, int status = 2) const {
    arguments.insert(arguments.begin(), {"plan", "--steps", "1"});
    const std::string plan = refused(arguments, status).substr(std::string("longstride plan").size());
    arguments.front() = "train";
    arguments.insert(arguments.end(), {"--out", path("refused")});
    EXPECT_EQ(refused(arguments, status).substr(std::string("longstride train").size()), plan);
    EXPECT_FALSE(exists("refused"));
    return plan;
  }
};

TEST_F(Beginnings, StepsEndARunWhoseModelGoesByTheClock) {
  write("steps.json", R"({"training": {"steps": 2}})");
  const std::vector<std::string> small = {"train",      "--preset",        "text-small", "--data",
                                          path("text"), "--quiet",         "--set",      "model.hash_buckets=16",
                                          "--set",      "training.batch=1"};
  const auto steps_of = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = small;
    arguments.insert(arguments.end(), {"--out", path(out), "--json"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(config_of(out)["training"]["minutes"], 0);
    return done.json()["step"].get<int>();
  };
  EXPECT_EQ(steps_of("set", {"--set", "training.steps=1"}), 1);
  EXPECT_EQ(steps_of("file", {"--config", path("steps.json")}), 2);
  EXPECT_EQ(steps_of("option", {"--config", path("steps.json"), "--steps", "1"}), 1);
  const Finished plan = run({"plan", "--preset", "text-small", "--config", path("steps.json")});
  EXPECT_NE(plan.out.find(" for 2 steps"), std::string::npos) << plan.out;
}

TEST_F(Beginnings, OptionsThatSayTheSameTwiceAreRefused) {
  const auto both = [&](const std::vector<std::string>& more) { return refused(training("train", more)); };
  EXPECT_EQ(both({"--minutes", "1", "--set", "training.steps=5"}),
            "longstride train: --set training.steps and --minutes: a run ends by one of them, got both\n");
  EXPECT_EQ(both({"--steps", "1", "--set", "training={\"minutes\":5}"}),
            "longstride train: --steps and --set training.minutes: a run ends by one of them, got both\n");
  EXPECT_EQ(run(training("plan", {"--steps", "1", "--set", "training.minutes=0"})).status, 0);
  EXPECT_EQ(both({"--steps", "1", "--set", "data.paths=[\"elsewhere\"]"}),
            "longstride train: --data and --set data.paths: one of them names the data, got both\n");
}

TEST_F(Beginnings, AKeyOfTheModelLeavesThePresetAwayHoweverItIsSet) {
  for (const char* set : {"model.width=32", "model={\"width\":32}"}) {
    const Finished plan = run({"plan", "--data", path("text"), "--set", set});
    EXPECT_NE(plan.out.find("settings: the defaults and no preset, as model.width is given"), std::string::npos)
        << plan.out;
  }
  const Finished plan = run({"plan", "--data", path("text"), "--set", "model={}", "--context", "100"});
  EXPECT_NE(plan.out.find("no preset, as model.context is given"), std::string::npos) << plan.out;
}

TEST_F(Beginnings, PlansRefuseWhatRunsRefuse) {
  std::filesystem::create_directory(path("pictures"));
  ASSERT_EQ(run({"pattern", "local(4)", "--length", "40", "--picture", path("pictures/a.png")}).status, 0);
  write_array("fractions.npy", 4, 8, "<f4");
  write("empty.png", "");
  const std::string folder = path("pictures"), text = path("text");
  refused_by_both({"--preset", "image-small", "--data", text});
  refused_by_both({"--preset", "text-small", "--data", folder});
  EXPECT_NE(refused_by_both({"--preset", "image-small", "--data", folder, "--set", "data.image_size=[512,512]"})
                .find("pictures of 512 x 512 x 3 are 786,432 bytes"),
            std::string::npos);
  refused_by_both({"--data", path("fractions.npy")}, 1);
  EXPECT_EQ(refused_by_both({"--data", path("empty.png")}), ": \"/empty.png\" is empty\n");
  EXPECT_NE(refused({"plan", "--preset", "image-small", "--data", folder, "--set", "data.split=[0,0.5,0.5]"})
                .find("the train part has 0 of 3,072 bytes, less than one context"),
            std::string::npos);  // a run decodes first
  EXPECT_EQ(run({"plan", "--preset", "image-small", "--data", folder, "--set", "data.split=[1,0,0]"}).status, 0);
}

TEST_F(Beginnings, AnEmptyFileThatWasNamedIsWrongInEveryCommand) {
  train(1);
  write("empty", "");
  const std::string run = path("run"), empty = path("empty");
  EXPECT_EQ(refused({"evaluate", run, "--data", empty}),
            "longstride evaluate: \"/empty\" is empty; name a file with data\n");
  EXPECT_EQ(refused({"sample", run, "--prime", empty}), "longstride sample: \"/empty\" is empty\n");
  EXPECT_EQ(refused({"attention", run, "--prime", empty}), "longstride attention: \"/empty\" is empty\n");
  for (const char* name : {"empty.png", "empty.wav"}) {
    write(name, "");
    EXPECT_EQ(refused({"info", "--data", path(name)}), std::string("longstride info: \"/") + name + "\" is empty\n");
  }
}

TEST_F(Beginnings, PlansRefuseWeightsThatRunsRefuse) {
  train(1);  // positions for 6 x 7 tokens
  const std::string begun = path("run"), text = path("text");
  write_array("pictures.npy", 12, 4);
  refused_by_both({"--init", begun, "--data", text, "--width", "32"});
  refused_by_both({"--init", begun, "--data", path("pictures.npy")});
  const std::string longer = refused_by_both({"--init", begun, "--data", text, "--context", "1024"});
  EXPECT_NE(longer.find("hold positions for contexts of up to 42 tokens, got 1,024"), std::string::npos) << longer;
  EXPECT_EQ(longer.find("--set"), std::string::npos) << longer;
  const std::string wider =
      refused_by_both({"--init", begun, "--data", text, "--set", "model.positions=[32,32]", "--context", "1024"});
  EXPECT_NE(wider.find("they are part of the weights, which are for contexts of up to 42 tokens: leave"),
            std::string::npos)
      << wider;
  EXPECT_NE(refused({"plan", "--init", begun, "--width", "32"}).find("model.width is 16 there, 32 here"),
            std::string::npos);
  EXPECT_EQ(run({"plan", "--init", begun, "--data", text}).status, 0);
}

TEST_F(Beginnings, WeightsOfPicturesSayThatTheirSizeStays) {
  write_array("pictures.npy", 12, 4);
  std::vector<std::string> pictures = {"train", "--data", path("pictures.npy"), "--out", path("run"), "--steps", "1"};
  for (const char* set : {"model.context=48", "model.positions=[4,4,3]", "model.layers=1", "model.width=16",
                          "model.heads=2", "model.attention=local(9)", "data.split=[0.5,0.25,0.25]"})
    pictures.insert(pictures.end(), {"--set", set});
  ASSERT_EQ(run(pictures).status, 0);
  const std::string words =
      refused_by_both({"--init", path("run"), "--data", path("pictures.npy"), "--set", "data.image_size=[2,2]"});
  EXPECT_NE(words.find("pictures of 2 x 2 x 3 are 12 bytes, one window each, got 48; the weights to begin with have "
                       "learned pictures of their own size: leave data.image_size"),
            std::string::npos)
      << words;
}

// The warm-up of a run by the clock is a tenth of its time: a model of few steps a minute does not spend all of them
// in it.
TEST_F(Beginnings, ByTheClockWarmUpIsOverAfterATenthOfTheTime) {
  train(1);
  const auto begun = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", "--init",  path("run"), "--data", path("text"),
                                          "--out", path(out), "--minutes", "0.02",   "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(run(arguments).status, 0);
    double highest = 0;
    std::istringstream log(read(out + "/log.jsonl"));
    for (std::string line; std::getline(log, line);)
      if (const json entry = json::parse(line); entry.contains("learning_rate"))
        highest = std::max(highest, entry["learning_rate"].get<double>());
    return highest / config_of(out)["training"]["learning_rate"].get<double>();
  };
  EXPECT_GT(begun("automatic", {}), 0.8);
  EXPECT_EQ(config_of("automatic")["training"]["warmup_steps"], "auto");
  EXPECT_LT(begun("given", {"--set", "training.warmup_steps=1e9"}), 0.01);  // what was set is kept
  EXPECT_EQ(config_of("given")["training"]["warmup_steps"], 1'000'000'000);
}

}  // namespace
}  // namespace longstride
