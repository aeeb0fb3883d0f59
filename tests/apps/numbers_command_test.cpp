// These tests give the program data, prompts and sizes that its numbers cannot hold: one sentence, before anything
// runs.
#include <sys/resource.h>

#include "apps/program.h"
#include "longstride/device.h"

namespace longstride {
namespace {

class Numbers : public Commands {
 protected:
  std::vector<std::string> with(const std::string& command, const std::vector<std::string>& sets) const {
    std::vector<std::string> more;
    if (command == "train") more = {"--out", path("run"), "--steps", "3", "--quiet"};
    for (const std::string& set : sets) more.insert(more.end(), {"--set", set});
    return training(command, more);
  }
};

TEST_F(Numbers, OfThreadsAreThoseThatTheSystemLetsAProcessHave) {
  ::setenv("OMP_NUM_THREADS", "1000000000", 1);
  const Finished told = run({"info", "--json"});
  ::unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(told.json()["threads"], kMostThreads) << told.err;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need more addresses than any limit leaves
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit limited = {rlim_t{1'500'000'000}, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limited), 0);
  const pid_t process = start(training("train", {"--threads", "3000", "--out", path("run"), "--quiet"}));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  const Finished done = finish(process);
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("does not let this process have 3000 threads"), std::string::npos) << done.err;
  EXPECT_FALSE(exists("run"));
#endif
}

TEST_F(Numbers, AByteBeyondTheVocabularyIsFoundBeforeTheFirstStep) {
  const std::string text = read("text");
  write("text", text + "\xe9 and more");
  const std::string at = std::to_string(text.size());
  EXPECT_EQ(refused(with("train", {"model.vocabulary=128"})),
            "longstride train: \"/text\": byte 233 at " + at +
                " is outside model.vocabulary, 128; other data or a larger one is needed, 256 for any\n");
  EXPECT_FALSE(exists("run"));
  write("text", text);
  ASSERT_EQ(run(with("train", {"model.vocabulary=128"})).status, 0);
  write("other", "abc\xe9");
  EXPECT_EQ(
      refused({"evaluate", path("run"), "--data", path("other"), "--quiet"}),
      "longstride evaluate: \"/other\": byte 233 at 3 is outside model.vocabulary, 128; other data or a larger one "
      "is needed, 256 for any\n");
  EXPECT_EQ(run({"evaluate", path("run"), "--data", path("other"), "--bytes", "3", "--quiet"}).status, 0);
  EXPECT_EQ(refused({"sample", path("run"), "--prime", path("other"), "--quiet"}),
            "longstride sample: --prime: \"/other\": token 233 at 3 is outside the model's vocabulary of 128\n");
  EXPECT_EQ(refused({"sample", path("run"), "--prompt", "ab\xe9", "--quiet"}),
            "longstride sample: prompt: byte 233 at 2 is outside the model's vocabulary of 128\n");
  EXPECT_EQ(refused({"attention", path("run"), "--prime", path("other"), "--query", "1"}),
            "longstride attention: \"/other\": token 233 at 3 is outside the vocabulary of 128\n");
}

TEST_F(Numbers, AVocabularyBeyondBytesTrainsAndSamplesBytes) {
  ASSERT_EQ(run(with("train", {"model.vocabulary=300", "training.sample_minutes=10"})).status, 0);
  EXPECT_TRUE(exists("run/samples"));
  const Finished made = run({"sample", path("run"), "--tokens", "300", "--temperature", "5", "--quiet"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_GE(made.out.size(), 300u);
}

// 2^63 multiply-adds were negative; and what plans take may itself be more memory than there is.
TEST_F(Numbers, SizesThatNoMachineHoldsAreRefusedByPlan) {
  const std::vector<std::string> long_one = {"model.context=1073741824", "model.positions=[32768,32768]",
                                             "model.attention=dense"};
  std::vector<std::string> without_data = with("plan", long_one);
  without_data.erase(without_data.begin() + 1, without_data.begin() + 3);
  EXPECT_EQ(refused(without_data),
            "longstride plan: a step of 1 x 2 windows of 1073741824 tokens has 1.1e+20 multiply-adds, more than any "
            "machine makes; smaller sizes are needed\n");
  EXPECT_NE(refused(with("plan", {"model.width=65536", "model.heads=65536", "model.layers=4096"}))
                .find("are more than can be planned"),
            std::string::npos);
  const Finished done = run(with("plan", {"training.accumulate=65536", "training.batch=1024", "training.steps=1e12"}));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_LT(done.peak_bytes, 1'000'000'000);
}

TEST_F(Numbers, OfManyProcessesArePlanned) {
  const std::vector<std::string> sets = {"training.accumulate=8", "training.lanes=4"};
  const auto plan = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = with("plan", sets);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const auto json = run(plan({"--processes", "4", "--link", "25Gbit", "--json"})).json();
  EXPECT_EQ(json["processes"], 4);
  EXPECT_GT(json["sent_bytes_per_step"], 0);
  EXPECT_EQ(json["scaling"]["link_bytes_per_s"], 25e9 / 8);
  EXPECT_GT(json["scaling"]["efficiency"], 0);
  EXPECT_LE(json["scaling"]["efficiency"], 1);
  EXPECT_GE(json["scaling"]["batches_for_90_percent"], 1);
  EXPECT_FALSE(run(plan({"--json"})).json().contains("processes"));
  EXPECT_NE(run(plan({"--processes", "2"})).out.find("2 processes: the memory is that of the first; it sends"),
            std::string::npos);
  EXPECT_NE(run(plan({"--processes", "2", "--link", "2GB/s"})).out.find("over 2.00 GB/s each way"), std::string::npos);
  for (const std::string word : {"fast", "25", "0Gbit", "-1Gbit", "25Gbits", "1e99Gbit", "nanGbit"})
    EXPECT_EQ(refused(plan({"--processes", "2", "--link", word})),
              "longstride plan: --link: needs a rate such as 25Gbit or 50GB (a second), got \"" + word + "\"\n");
  EXPECT_EQ(refused(plan({"--link", "25Gbit"})),
            "longstride plan: --link: joins several processes; give --processes too, at least 2\n");
  EXPECT_EQ(refused(plan({"--processes", "0"})),
            "longstride plan: --processes: needs a whole number in [1, 65536], got 0\n");
  EXPECT_NE(refused(plan({"--processes", "8"}))
                .find("longstride plan: 8 processes share training.lanes, of which there are 4"),
            std::string::npos);
}

TEST_F(Numbers, OfPlansAreOfDataThatCanBeTrainedOn) {
  write("empty", "");
  EXPECT_EQ(refused({"plan", "--data", path("empty")}),
            "longstride plan: \"/empty\" is empty; name a file with data\n");
  const std::string words = refused({"plan", "--data", path("text"), "--context", "2000000"});
  EXPECT_NE(words.find("less than one context of 2,000,000; give more data or --set model.context="), std::string::npos)
      << words;
}

// 1e1 is 10, as for keys. 010 was 8, and what is too large the largest there is; a variable that is not set was 0, or
// as if it were not there.
TEST_F(Numbers, OfOptionsAreDecimalAndWhole) {
  ASSERT_EQ(run(with("train", {})).status, 0);
  const auto evaluate = [&](const std::string& option, const std::string& word) {
    return std::vector<std::string>{"evaluate", path("run"), "--data", path("text"), "--json", "--quiet", option, word};
  };
  EXPECT_EQ(run(evaluate("--offset", "010")).json()["offset"], 10);
  EXPECT_EQ(run(evaluate("--offset", "+8")).json()["offset"], 8);
  EXPECT_EQ(run(evaluate("--offset", "1e1")).json()["offset"], 10);
  EXPECT_EQ(run(evaluate("--offset", "20e-1")).json()["offset"], 2);
  const std::string help = "; `longstride evaluate --help` lists what there is\n";
  for (const std::string word : {"", "1.5", "0x10", "1_000", " 5", "5 ", "1e-3", "1e", "nan", "inf", "1e99", "--"}) {
    EXPECT_EQ(refused(evaluate("--offset", word)),
              "longstride evaluate: --offset: needs a whole number, got \"" + word + "\"" + help);
  }
  EXPECT_EQ(
      refused(evaluate("--bytes", "99999999999999999999")),
      "longstride evaluate: --bytes: needs a whole number that 64 bits hold, got \"99999999999999999999\"" + help);
  EXPECT_EQ(refused(evaluate("--checkpoint", "")), "longstride evaluate: --checkpoint: needs a word, got none" + help);
  EXPECT_EQ(refused({"sample", path("run"), "--temperature", ""}),
            "longstride sample: --temperature: needs a number, got \"\"; `longstride sample --help` lists what there "
            "is\n");
}

TEST_F(Numbers, OfOptionsAreRefusedByTheOptionsName) {
  EXPECT_EQ(refused(training("plan", {"--steps", "-1"})),
            "longstride plan: training.steps: needs a whole number in [0, 1000000000000], got -1 (from --steps)\n");
  EXPECT_EQ(refused(training("plan", {"--minutes", "nan"})),
            "longstride plan: training.minutes: needs a number in [0, 1000000], got \"nan\" (from --minutes)\n");
  EXPECT_EQ(refused({"doctor", "--threads", "4097"}),
            "longstride doctor: --threads: needs a whole number in [0, 4096] (0: every core), got 4097\n");
}

TEST_F(Numbers, WhatSinglePrecisionCannotHoldIsRefusedByItsKey) {
  EXPECT_EQ(refused(with("train", {"training.epsilon=1e-300"})),
            "longstride train: training.epsilon: needs a number in (0, 1] that float32 tells from 0, got 1e-300 (from "
            "--set)\n");
  EXPECT_EQ(refused(with("plan", {"model.dropout=0.99999999"})),
            "longstride plan: model.dropout: needs a number in [0, 1) that float32 tells from 1, got 0.99999999 (from "
            "--set)\n");
  EXPECT_FALSE(exists("run"));
}

}  // namespace
}  // namespace longstride
