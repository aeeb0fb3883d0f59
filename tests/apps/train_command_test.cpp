// These tests run `longstride train` as a person does: what it writes, says and refuses.
#include <algorithm>
#include <set>

#include "apps/program.h"

namespace longstride {
namespace {

using nlohmann::json;

std::set<std::string> keys(const json& object) {
  std::set<std::string> names;
  for (const auto& [key, value] : object.items()) names.insert(key);
  return names;
}

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
  EXPECT_EQ(keys(result),
            (std::set<std::string>{"run", "step", "interrupted", "stopped_early", "valid_bits", "test_bits", "test_order0_bits",
                                   "test_bytes", "checkpoint", "data_bytes", "data_sha256", "origin"}));
  EXPECT_EQ(keys(result["origin"]),
            (std::set<std::string>{"version", "commit", "device", "instruction_set", "libraries"}));
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
  const Finished done = run({"train", "--resume", "--out", path("run"), "--batch", "9", "--json"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.json()["step"], 2);
  EXPECT_NE(done.err.find("--resume goes on with the run's own configuration; --batch is not looked at"),
            std::string::npos)
      << done.err;
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
  EXPECT_NE(refused({"train", "--colour"}).find("--colour"), std::string::npos);
  EXPECT_NE(refused({"trian"}).find("trian"), std::string::npos);
  EXPECT_NE(refused({}).find("longstride --help"), std::string::npos);
  EXPECT_FALSE(exists("run"));
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
  for (const char* word : {"parameters", "memory", "multiply-adds a step", "fits", "without recomputation"}) {
    EXPECT_NE(words.out.find(word), std::string::npos) << word << "\n" << words.out;
  }
  const Finished done = run(training("plan", {"--steps", "5", "--json"}));
  const json plan = done.json();
  EXPECT_EQ(keys(plan),
            (std::set<std::string>{"parameters", "parameters_by_part", "bytes", "multiply_adds_per_step", "fits"}));
  std::int64_t parameters = 0, bytes = 0;
  for (const auto& [part, count] : plan["parameters_by_part"].items()) parameters += count.get<std::int64_t>();
  for (const auto& [part, count] : plan["bytes"].items()) bytes += part == "total" ? 0 : count.get<std::int64_t>();
  EXPECT_EQ(plan["parameters"], parameters);
  EXPECT_EQ(plan["bytes"]["total"], bytes);
  EXPECT_EQ(plan["fits"], true);
  EXPECT_EQ(run({"plan", "--json"}).status, 0);  // data is not needed
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
    EXPECT_EQ(refused(on("cuda"), 1), begin + "device: this build has no CUDA backend; needs cpu\n");
    EXPECT_EQ(refused(on("nonsense")), begin + "--device: needs auto, cpu or cuda, got \"nonsense\"\n");
  }
  EXPECT_EQ(read("on-cpu/checkpoints/000000001/model.safetensors"),
            read("on-auto/checkpoints/000000001/model.safetensors"));
  for (const char* device : {"cpu", "auto"})  // config.json keeps what was set, though it is no part of what a run is
    EXPECT_EQ(json::parse(read(std::string("on-") + device + "/config.json"))["training"]["device"], device);
  EXPECT_FALSE(exists("on-cuda"));
  EXPECT_FALSE(exists("on-nonsense"));
  EXPECT_EQ(refused({"train", "--resume", "--out", path("on-cpu"), "--device", "cuda"}, 1),
            "longstride train: device: this build has no CUDA backend; needs cpu\n");
}

TEST_F(TrainCommand, ShowsHelpWithAnExampleForEveryCommand) {
  for (const char* command : {"train", "evaluate", "sample", "pattern", "plan", "info", "attention", "doctor", "chat"}) {
    const Finished done = run({command, "--help"});
    EXPECT_EQ(done.status, 0);
    EXPECT_EQ(done.err, "");
    EXPECT_NE(done.out.find(std::string("  longstride ") + command + " "), std::string::npos) << done.out;
  }
  EXPECT_EQ(run({"--version"}).out.find("longstride "), 0u);
}

}  // namespace
}  // namespace longstride
