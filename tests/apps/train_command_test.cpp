// These tests run `longstride train` as a person does: what it writes, says and refuses.
#include <algorithm>

#include "apps/program.h"
#include "ops/backend.h"

namespace longstride {
namespace {

using nlohmann::json;

class TrainCommand : public Commands {};

TEST_F(TrainCommand, WritesARunAndSaysWhatItDidAndWhatToTryNext) {
  const Finished done = run(training("train", {"--out", path("run"), "--steps", "3"}));
  ASSERT_EQ(done.status, 0) << done.err;
  for (const char* word : {"parameters", "planned", "3 steps", "fixed(7,2)"}) {
    EXPECT_NE(done.err.find(word), std::string::npos) << word << "\n" << done.err;
  }
  for (const char* word :
       {"test", "bits per byte", "8 raw", "order-0 entropy", "longstride sample", "longstride evaluate"}) {
    EXPECT_NE(done.out.find(word), std::string::npos) << word << "\n" << done.out;
  }
  EXPECT_TRUE(exists("run/config.json"));
  EXPECT_TRUE(exists("run/checkpoints/000000003/model.safetensors"));
}

TEST_F(TrainCommand, TellsItsResultAsOneObject) {
  const Finished done = run(training("train", {"--out", path("run"), "--steps", "2", "--json", "--quiet"}));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.err, "");
  const json result = done.json();
  EXPECT_EQ(result["data_bytes"], read("text").size());
  EXPECT_EQ(result["step"], 2);
  EXPECT_EQ(result["interrupted"], false);
  EXPECT_GT(result["test_bits"], 0);
}

TEST_F(TrainCommand, WritesTheInitialWeightsWhereNoStepIsAskedFor) {
  train(0);
  EXPECT_TRUE(exists("run/checkpoints/000000000/model.safetensors"));
  const Finished done = run({"evaluate", path("run"), "--data", path("text"), "--json", "--quiet"});
  EXPECT_EQ(done.json()["bits_per_byte"], 8.0) << done.err;
}

TEST_F(TrainCommand, GoesOnWithNothingButTheRun) {
  train(2);
  const Finished done = run({"train", "--resume", "--out", path("run"), "--json"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.json()["step"], 2);
}

TEST_F(TrainCommand, RefusesToGoOnWithOtherSettings) {
  train(2);
  const std::string config = read("run/config.json");
  const std::vector<std::vector<std::string>> others = {
      {"--batch", "9"},           {"--learning-rate", "0.1"}, {"--set", "training.clip=2"},
      {"--preset", "text-small"}, {"--init", path("run")},    {"--precision", "bfloat16"},
      {"--layers", "3"}};
  for (const auto& other : others) {
    std::vector<std::string> arguments = {"train", "--resume", "--out", path("run"), "--steps", "4"};
    arguments.insert(arguments.end(), other.begin(), other.end());
    const std::string sentence = refused(arguments);
    EXPECT_EQ(sentence.find("longstride train: " + other[0] + ": a run goes on with its own settings; --resume takes "),
              0u)
        << sentence;
  }
  EXPECT_NE(refused({"train", "--resume", "--batch", "3", "--seed", "4", "--out", path("run")})
                .find(": --batch, --seed: a run goes on"),
            std::string::npos);
  EXPECT_EQ(read("run/config.json"), config);
}

TEST_F(TrainCommand, RefusesWhatCannotBeTrainedInOneSentence) {
  EXPECT_EQ(refused({"train", "--steps", "1"}),
            "longstride train: --data: needs the files or folders to learn from, got none\n");
  EXPECT_EQ(refused(training("train", {"--steps", "1"})),
            "longstride train: --out: needs the run directory to write or to go on with, got none\n");
  EXPECT_EQ(refused(training("train", {"--steps", "1", "--minutes", "1", "--out", path("run")})),
            "longstride train: --steps and --minutes: a run ends by one of them, got both\n");
  EXPECT_EQ(refused({"train", "--resume", "--overwrite", "--out", path("run")}),
            "longstride train: --resume and --overwrite: a run is gone on with or replaced, got both\n");
  EXPECT_EQ(refused(training("train", {"--config", path("none"), "--out", path("run")})),
            "longstride train: cannot read \"/none\": No such file or directory\n");
  EXPECT_NE(refused(training("train", {"--set", "model.widht=3", "--out", path("run")})).find("model.width"),
            std::string::npos);
  EXPECT_NE(refused({}).find("longstride --help"), std::string::npos);
  EXPECT_FALSE(exists("run"));
}

TEST_F(TrainCommand, NamesTheNearestOptionAndCommand) {
  const std::string train_help = "; `longstride train --help` lists what there is\n";
  for (const auto& [word, nearest] : std::vector<std::pair<std::string, std::string>>{{"--dta", "--data"},
                                                                                      {"--learn", "--learning-rate"},
                                                                                      {"--lr", "--learning-rate"},
                                                                                      {"--batch-size=3", "--batch"},
                                                                                      {"--stpes", "--steps"}}) {
    const std::string option = word.substr(0, word.find('='));
    EXPECT_EQ(refused({"train", word, path("text")}),
              "longstride train: there is no option " + option + "; the nearest is " + nearest + train_help);
  }
  EXPECT_EQ(
      refused({"trian", "--data", path("text")}),
      "longstride: there is no command \"trian\"; the nearest is train; `longstride --help` lists what there is\n");
  EXPECT_EQ(refused({"evaluate", "--chekpoint", "best"}),  // before what is missing too
            "longstride evaluate: there is no option --chekpoint; the nearest is --checkpoint; `longstride evaluate "
            "--help` lists what there is\n");
  EXPECT_NE(refused({"train", "text"}).find("text"), std::string::npos);  // no option at all
}

TEST_F(TrainCommand, TakesShortFormsForKeys) {
  const auto config_of = [&](const std::vector<std::string>& more) {
    const Finished done = run(training("train", more));
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(read("run/config.json"));
  };
  const json config = config_of({"--out",           path("run"),
                                 "--steps",         "0",
                                 "--learning-rate", "0.02",
                                 "--layers",        "2",
                                 "--width",         "32",
                                 "--context",       "36",
                                 "--attention",     "[\"local(4)\", \"column(6)\"]",
                                 "--batch",         "3",
                                 "--seed",          "7",
                                 "--precision",     "float32",
                                 "--threads",       "1",
                                 "--quiet"});
  EXPECT_EQ(config["training"]["batch"], 3);
  EXPECT_EQ(config["training"]["seed"], 7);
  EXPECT_EQ(config["training"]["precision"], "float32");
  EXPECT_EQ(config["training"]["threads"], 1);
  EXPECT_EQ(config["training"]["learning_rate"], 0.02);
  EXPECT_EQ(config["model"]["layers"], 2);
  EXPECT_EQ(config["model"]["width"], 32);
  EXPECT_EQ(config["model"]["context"], 36);
  EXPECT_EQ(config["model"]["attention"], json({"local(4)", "column(6)"}));
  EXPECT_EQ(refused(training("train", {"--out", path("other"), "--width", "15"})),
            "longstride train: model.heads: must divide model.width, got 2 heads for width 15 (model.width from "
            "--width, model.heads from --set)\n");
  EXPECT_EQ(refused(training("train", {"--out", path("other"), "--learning-rate", "-1"})),
            "longstride train: training.learning_rate: needs a number in [0, 100], got -1 (from --learning-rate)\n");
}

// Data are read window by window, never whole nor hashed: 10 GB of nothing but a file's length.
TEST_F(TrainCommand, TrainsOnTenGigabytesInLittleMemory) {
  write("large", "");
  std::filesystem::resize_file(path("large"), std::uintmax_t{10} << 30);
  const Finished done = run(training("train", {"--data", path("large"), "--out", path("run"), "--steps", "3", "--set",
                                               "data.split=[1,0,0]", "--quiet", "--set", "data.kind=text"}));
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream log(read("run/log.jsonl"));
  int steps = 0;
  for (std::string line; std::getline(log, line);) {
    const json step = json::parse(line);
    if (!step.contains("memory_bytes")) continue;
    ++steps;
    EXPECT_LT(step["memory_bytes"], 500'000'000);
    EXPECT_LE(step["load_s"], step["step_s"]);
  }
  EXPECT_EQ(steps, 3);
}

TEST_F(TrainCommand, PlansWhatItWillNeed) {
  const Finished words = run(training("plan", {"--steps", "5"}));
  ASSERT_EQ(words.status, 0) << words.err;
  for (const char* word :
       {"parameters", "memory", "multiply-adds a step", "s a step, as measured", "fits", "without recomputation"}) {
    EXPECT_NE(words.out.find(word), std::string::npos) << word << "\n" << words.out;
  }
  const Finished done = run(training("plan", {"--steps", "5", "--json"}));
  const json plan = done.json();
  std::int64_t parameters = 0, bytes = 0;
  for (const auto& [part, count] : plan["parameters_by_part"].items()) parameters += count.get<std::int64_t>();
  for (const auto& [part, count] : plan["bytes"].items()) bytes += part == "total" ? 0 : count.get<std::int64_t>();
  EXPECT_EQ(plan["parameters"], parameters);
  EXPECT_EQ(plan["bytes"]["total"], bytes);
  EXPECT_EQ(plan["fits"], true);
  EXPECT_TRUE(plan["advice"].is_null());
  EXPECT_GT(plan["step_s"], 0);
  EXPECT_DOUBLE_EQ(plan["run_s"], 5 * plan["step_s"].get<double>());
  EXPECT_EQ(run({"plan", "--json"}).status, 0);  // data is not needed
}

// The memory that is free counts within the limit.
TEST_F(TrainCommand, PlansWithAnAdviceThatWorks) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs more addresses than any limit leaves";
#endif
  std::vector<std::string> more = {"--context",          "1024", "--set", "model.positions=[32,32]", "--set",
                                   "training.batch=4096"};
  const auto plan = [&](const std::vector<std::string>& last) {
    std::vector<std::string> arguments = training("plan", more);
    arguments.insert(arguments.end(), last.begin(), last.end());
    rlimit before = {};
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before), 0);
    const rlimit limited = {rlim_t{2'500'000'000}, before.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limited), 0);
    const pid_t process = start(arguments);
    EXPECT_EQ(setrlimit(RLIMIT_AS, &before), 0);
    return finish(process);
  };
  const Finished words = plan({});
  EXPECT_EQ(words.status, 1);
  EXPECT_NE(words.out.find("does not fit: "), std::string::npos) << words.out;
  const Finished done = plan({"--json"});
  EXPECT_EQ(done.status, 1);
  const json told = done.json();
  EXPECT_EQ(told["fits"], false);
  EXPECT_TRUE(told["step_s"].is_null());
  std::istringstream advice(told["advice"].get<std::string>());
  std::string word;
  ASSERT_TRUE(advice >> word && word == "try") << told["advice"];
  while (advice >> word) more.push_back(word);
  const Finished helped = plan({"--json"});
  EXPECT_EQ(helped.status, 0) << helped.err;
  EXPECT_EQ(helped.json()["fits"], true) << told["advice"];
  EXPECT_TRUE(helped.json()["advice"].is_null());
}

TEST_F(TrainCommand, TrainsAndPlansForTheDeviceThatIsNamed) {
  for (const char* command : {"train", "plan"}) {
    const bool writes = std::string(command) == "train";
    const auto on = [&](const std::string& device) {
      std::vector<std::string> more = {"--steps", "1", "--device", device};
      if (writes) more.insert(more.end(), {"--quiet", "--out", path("on-" + device)});
      return training(command, more);
    };
    const std::string begin = std::string("longstride ") + command + ": ";
    for (const char* device : {"cpu", "auto"}) {
      const Finished done = run(on(device));
      EXPECT_EQ(done.status, 0) << done.err;
    }
    EXPECT_EQ(refused(on("cuda"), 1), begin + "device: " + why_no_cuda() + "; needs cpu\n");
    EXPECT_EQ(refused(on("nonsense")), begin + "--device: needs auto, cpu, cuda or cuda:K, got \"nonsense\"\n");
  }
  EXPECT_EQ(read("on-cpu/checkpoints/000000001/model.safetensors"),
            read("on-auto/checkpoints/000000001/model.safetensors"));
  for (const char* device : {"cpu", "auto"})  // config.json keeps what was set, though it is no part of what a run is
    EXPECT_EQ(json::parse(read(std::string("on-") + device + "/config.json"))["training"]["device"], device);
  EXPECT_FALSE(exists("on-cuda"));
  EXPECT_FALSE(exists("on-nonsense"));
  EXPECT_EQ(refused({"train", "--resume", "--out", path("on-cpu"), "--device", "cuda"}, 1),
            "longstride train: device: " + why_no_cuda() + "; needs cpu\n");
}

TEST_F(TrainCommand, ShowsHelpWithAnExampleForEveryCommand) {
  for (const char* command :
       {"train", "evaluate", "sample", "pattern", "plan", "info", "attention", "doctor", "chat"}) {
    const Finished done = run({command, "--help"});
    EXPECT_EQ(done.status, 0);
    EXPECT_EQ(done.err, "");
    EXPECT_NE(done.out.find(std::string("  longstride ") + command + " "), std::string::npos) << done.out;
  }
}

TEST_F(TrainCommand, SaysWhichProgramItIsAndOnWhatItRuns) {
  const Finished done = run({"--version"});
  EXPECT_EQ(done.out.find("longstride "), 0u);
  for (const char* word : {"compiled by", "oneDNN ", "scalar", "in use: ", "threads"})
    EXPECT_NE(done.out.find(word), std::string::npos) << word << "\n" << done.out;
  environment_ = {"LONGSTRIDE_ISA=nonsense"};
  const Finished wrong = run({"--version"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_EQ(wrong.err.find("longstride: "), 0u) << wrong.err;
}

}  // namespace
}  // namespace longstride
