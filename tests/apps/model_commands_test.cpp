// evaluate, sample and info on a tiny run.
#include <fcntl.h>

#include <algorithm>
#include <set>

#include "apps/documented.h"
#include "apps/program.h"
#include "ops/backend.h"

namespace longstride {
namespace {

using nlohmann::json;

// The run is trained once and looked at by every test.
class ModelCommands : public Commands {
 protected:
  void SetUp() override {
    static const std::string trained = [this] {
      train(4);
      std::string pattern = (std::filesystem::temp_directory_path() / "longstride-trained-XXXXXX").string();
      const std::string kept = ::mkdtemp(pattern.data());
      std::filesystem::rename(root_ / "run", kept + "/run");
      return kept;
    }();
    trained_ = trained;
    std::filesystem::copy(trained_ + "/run", root_ / "run",
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(trained_); }

  static inline std::string trained_;
};

TEST_F(ModelCommands, EvaluateTellsBitsWithTheirProtocol) {
  const Finished words = run({"evaluate", path("run"), "--data", path("text"), "--min-context", "9"});
  ASSERT_EQ(words.status, 0) << words.err;
  for (const char* word :
       {"bits per byte ± ", "windows of 40 with a minimum context of 9", "float32", "step 4", "sha256"}) {
    EXPECT_NE(words.out.find(word), std::string::npos) << word << "\n" << words.out;
  }
  const Finished done = run(
      {"evaluate", path("run"), "--data", path("text"), "--min-context", "9", "--json", "--quiet", "--threads", "1"});
  EXPECT_EQ(done.err, "");
  const json result = done.json();
  EXPECT_EQ(result["split"], "all");
  EXPECT_EQ(result["trained_by"], result["origin"]);  // one program did both
  EXPECT_FALSE(result["origin"]["instruction_set"].get<std::string>().empty());
  EXPECT_NE(run({"--version"}).out.find("longstride " + result["origin"]["version"].get<std::string>()),
            std::string::npos);
  EXPECT_EQ(result["tokens_scored"], read("text").size());
  EXPECT_EQ(result["min_context"], 9);
  EXPECT_EQ(result["step"], 4);
  EXPECT_GT(result["bits_per_byte"], 1);
  EXPECT_LT(result["bits_per_byte"], 9);
  const Finished one = run({"evaluate", path("run"), "--data", path("text"), "--bytes", "17", "--json"});
  EXPECT_TRUE(one.json()["standard_error"].is_null());
}

TEST_F(ModelCommands, EvaluateRefusesInOneSentence) {
  EXPECT_EQ(refused({"evaluate", path("run")}),
            "longstride evaluate: --data: needs the files or folders to score, got none\n");
  EXPECT_EQ(
      refused({"evaluate", path("run"), "--data", path("text"), "--min-context", "40"}),
      "longstride evaluate: --min-context: needs a whole number in [0, 39], got 40 (the model's context is 40)\n");
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("text"), "--precision", "half"}),
            "longstride evaluate: --precision: needs auto, float32 or bfloat16, got \"half\"\n");
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("text"), "--threads", "-2"}),
            "longstride evaluate: --threads: needs a whole number in [0, 4096] (0: every core), got -2\n");
  EXPECT_EQ(
      refused({"evaluate", path("none"), "--data", path("text")}),
      "longstride evaluate: \"/none\" does not exist; name a run directory, a checkpoint directory or a .safetensors "
      "file\n");
  write("cut", read("run/checkpoints/000000004/model.safetensors").substr(0, 5000));
  EXPECT_NE(refused({"evaluate", path("cut"), "--data", path("text")}, 1).find("it was cut short"), std::string::npos);
}

TEST_F(ModelCommands, SamplePutsPromptAndTokensOnStandardOutputAndNothingElse) {
  const std::vector<std::string> options = {"sample",   path("run"), "--prompt", "line ",
                                            "--tokens", "60",        "--seed",   "3"};
  const Finished done = run(options);
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out.size(), 65u);
  EXPECT_EQ(done.out.substr(0, 5), "line ");
  EXPECT_NE(done.err.find("outgrown the context of 40 tokens"), std::string::npos) << done.err;
  EXPECT_EQ(run(options).out, done.out);
  std::vector<std::string> quiet = options;
  quiet.insert(quiet.end(), {"--quiet", "--out", path("made.txt")});
  const Finished filed = run(quiet);
  EXPECT_EQ(filed.status, 0);
  EXPECT_EQ(filed.out + filed.err, "");
  EXPECT_EQ(read("made.txt"), done.out);
}

TEST_F(ModelCommands, SampleSaysWhichTextsItWrote) {
  const std::vector<std::string> options = {"sample", path("run"), "--prompt", "x", "--tokens", "5", "--threads", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), options.begin(), options.end());
    return run(more);
  };
  const std::string one = with({"--out", path("one.txt")}).err;
  EXPECT_NE(one.find("wrote " + path("one.txt") + ": 6 bytes\n"), std::string::npos) << one;
  const Finished two = with({"--out", path("two.txt"), "--count", "2", "--json"});
  EXPECT_NE(two.err.find("wrote " + path("two-001.txt") + " to " + path("two-002.txt") + ": 2 texts\n"),
            std::string::npos)
      << two.err;
  expect_documented(two.json(), "sample");
  ASSERT_EQ(two.json()["samples"].size(), 2u) << two.out;
  EXPECT_EQ(two.json()["samples"][1]["file"], path("two-002.txt"));
  EXPECT_FALSE(with({"--json"}).json()["samples"][0].contains("file"));
}

TEST_F(ModelCommands, SampleBeginsWithTheBytesOfAFile) {
  const std::string bytes("\x00\xff\nline", 7);
  write("prime", bytes);
  const Finished done = run({"sample", path("run"), "--prime", path("prime"), "--tokens", "3", "--temperature", "0"});
  EXPECT_EQ(done.out.substr(0, 7), bytes) << done.err;
  EXPECT_EQ(done.out.size(), 10u);
  write("hundred", std::string(100, 'a'));  // 0.29 x 100 is a little less than 29 in binary
  EXPECT_EQ(run({"sample", path("run"), "--prime", path("hundred"), "--keep", "0.29", "--tokens", "1"}).out.size(),
            30u);
}

TEST_F(ModelCommands, SampleMakesSeveralSideBySide) {
  const Finished done = run({"sample", path("run"), "--count", "3", "--tokens", "10", "--prompt", "of"});
  const std::string second = "\n--- sample 2 of 3 ---\n", third = "\n--- sample 3 of 3 ---\n";
  ASSERT_EQ(done.out.size(), 36 + second.size() + third.size()) << done.err;
  EXPECT_EQ(done.out.substr(12, second.size()), second);
  EXPECT_EQ(run({"sample", path("run"), "--count", "3", "--tokens", "10", "--prompt", "of", "--separator", "|"}).out,
            done.out.substr(0, 12) + "|" + done.out.substr(12 + second.size(), 12) + "|" +
                done.out.substr(done.out.size() - 12));
  ASSERT_EQ(
      run({"sample", path("run"), "--count", "3", "--tokens", "10", "--prompt", "of", "--out", path("s.txt")}).status,
      0);
  EXPECT_EQ(read("s-001.txt") + second + read("s-002.txt") + third + read("s-003.txt"), done.out);
  ASSERT_EQ(
      run({"sample", path("run"), "--count", "2", "--tokens", "10", "--prompt", "of", "--out", path("many/")}).status,
      0);
  EXPECT_EQ(read("many/002.txt"), done.out.substr(12 + second.size(), 12));
  const json result = run({"sample", path("run"), "--count", "2", "--tokens", "10", "--prompt", "of", "--json"}).json();
  ASSERT_EQ(result["samples"].size(), 2u);
  EXPECT_EQ(result["samples"][0]["hex"].get<std::string>().substr(0, 4), "6f66");
  EXPECT_EQ(result["samples"][1]["hex"].get<std::string>().size(), 24u);
}

// Sequence i of a run of several prompts is sequence i of a run of its own prompt alone, byte for byte.
TEST_F(ModelCommands, SampleTakesPromptsInTurn) {
  const std::vector<std::string> options = {"sample", path("run"), "--tokens", "50",
                                            "--seed", "7",         "--json",   "--quiet"};
  const auto samples = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = options;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    const json made = done.json();
    std::vector<std::string> bytes;
    for (const json& one : made["samples"]) bytes.push_back(one["hex"]);
    return bytes;
  };
  const std::vector<std::string> mixed = samples({"--prompt", "A", "--prompt", "BB", "--count", "3"});
  const std::vector<std::string> a = samples({"--prompt", "A", "--count", "3"});
  const std::vector<std::string> b = samples({"--prompt", "BB", "--count", "3"});
  ASSERT_EQ(a.size(), 3u);
  ASSERT_EQ(b.size(), 3u);
  EXPECT_EQ(mixed, (std::vector<std::string>{a[0], b[1], a[2]}));
  EXPECT_EQ(mixed[0].size(), 2 * 51u);
  EXPECT_EQ(mixed[1].substr(0, 4), "4242");
  EXPECT_EQ(samples({"--prompt", "A"}), std::vector<std::string>{a[0]});
  EXPECT_EQ(samples({"--prompt", "A", "--prompt", "BB"}), (std::vector<std::string>{a[0], b[1]}));  // one a prompt
}

TEST_F(ModelCommands, EvaluateAndSampleComputeOnTheDeviceThatIsNamed) {
  const std::vector<std::vector<std::string>> commands = {
      {"evaluate", path("run"), "--data", path("text"), "--bytes", "100"},
      {"sample", path("run"), "--prompt", "x", "--tokens", "5"}};
  const auto on = [](std::vector<std::string> command, const char* device) {
    command.insert(command.end(), {"--device", device});
    return command;
  };
  for (const std::vector<std::string>& command : commands) {
    const std::string begin = "longstride " + command[0] + ": ";
    for (const char* device : {"cpu", "auto"}) {
      const Finished done = run(on(command, device));
      EXPECT_EQ(done.status, 0) << done.err;
      EXPECT_NE(done.out, "");
    }
    EXPECT_EQ(refused(on(command, "cuda"), 1), begin + "device: " + why_no_cuda() + "; needs cpu\n");
    EXPECT_EQ(refused(on(command, "nonsense")),
              begin + "--device: needs auto, cpu, cuda or cuda:K, got \"nonsense\"\n");
  }
}

TEST_F(ModelCommands, SampleRefusesInOneSentence) {
  EXPECT_EQ(refused({"sample", path("run"), "--temperature", "-1"}),
            "longstride sample: --temperature: needs a number of at least 0, got -1\n");
  EXPECT_EQ(refused({"sample", path("run"), "--top-p", "0"}),
            "longstride sample: --top-p: needs a number in (0, 1] (1: off), got 0\n");
  EXPECT_EQ(refused({"sample", path("run"), "--prime", path("none")}),
            "longstride sample: cannot read \"/none\": No such file or directory\n");
  EXPECT_EQ(refused({"sample", path("run"), "--prime", path("text"), "--prompt", "x"}),
            "longstride sample: --prime and --prompt: a sample begins with one of them, got both\n");
  EXPECT_EQ(refused({"sample", path("run"), "--out", path("none/there.txt"), "--tokens", "2", "--quiet"}),
            "longstride sample: --out: cannot write \"/none/there.txt\": No such file or directory\n");
  EXPECT_FALSE(exists("none"));
}

TEST_F(ModelCommands, AFullStandardOutputIsAnErrorInOneSentence) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"sample", path("run"), "--tokens", "5", "--temperature", "1"},
        {"info", path("run")},
        {"train", "--help"}}) {
    const Finished done = run(command, "/dev/full");
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.err, "longstride " + command[0] + ": cannot write standard output: No space left on device\n");
  }
}

TEST_F(ModelCommands, InfoTellsWhatARunIs) {
  const Finished words = run({"info", path("run")});
  ASSERT_EQ(words.status, 0) << words.err;
  for (const char* word : {"step", "fixed(7,2)", "parameters", "bits per byte", "context 40", "seed 1, float32",
                           "trained by  longstride ", "bytes, sha256 "}) {
    EXPECT_NE(words.out.find(word), std::string::npos) << word << "\n" << words.out;
  }
  const json info = run({"info", path("run/checkpoints/000000004/model.safetensors"), "--json"}).json();
  EXPECT_EQ(info["step"], 4);
  EXPECT_EQ(info["data_bytes"], read("text").size());
  EXPECT_EQ(info["data_sha256"].get<std::string>().size(), 64u);
  EXPECT_FALSE(info["trained_by"]["libraries"].get<std::string>().empty());
  EXPECT_EQ(info["config"]["model"]["context"], 40);
  EXPECT_EQ(info["tensors"]["output.weight"], json({256, 16}));
  std::int64_t parameters = 0;
  for (const auto& [name, shape] : info["tensors"].items()) {
    std::int64_t count = 1;
    for (const auto& extent : shape) count *= extent.get<std::int64_t>();
    parameters += count;
  }
  EXPECT_EQ(info["parameters"], parameters);
}

}  // namespace
}  // namespace longstride
