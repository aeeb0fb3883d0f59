// These tests lose lines of a run's log, while it trains and before it goes on.
#include <gtest/gtest.h>

#include <functional>
#include <sstream>
#include <utility>

#include "io/scratch.h"
#include "train/log_lines.h"
#include "train/training.h"

namespace longstride {
namespace {

class LogLines : public Training {
 protected:
  // Trains and does this after the second step.
  void train_and(const std::string& name, const std::function<void()>& meanwhile) {
    TrainObserver observer;
    observer.stepped = [&](const StepReport& report) {
      if (report.step == 2) meanwhile();
    };
    observer.noted = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
    TrainOptions options;
    options.out = path(name);
    train(config(4), options, observer);
  }
};

TEST_F(LogLines, ALogThatIsTakenAwayWhileItIsWrittenIsSaidAndGoesOn) {
  const std::string log = path("run/log.jsonl");
  const std::vector<std::pair<std::string, std::function<void()>>> losses = {
      {"was removed", [&] { fs::remove(log); }},
      {"was shortened", [&] { fs::resize_file(log, 0); }},
      {"was replaced",
       [&] {
         fs::rename(log, path("log.1"));
         put(log, "");
       }},
  };
  for (const auto& [words, loss] : losses) {
    notes_.clear();
    fs::remove_all(path("run"));
    train_and("run", loss);
    EXPECT_EQ(notes_, "log.jsonl " + words +
                          " while the run was trained: what it lost is missing there; new lines go " + "into \"" + log +
                          "\"\n");
    EXPECT_EQ(get(log).find("{\"step\":3,"), 0u) << get(log);
    EXPECT_NE(get(log).find("\"finished\""), std::string::npos);
  }
  fs::remove_all(path("run"));
  put(path("out"), "precious");
  EXPECT_EQ(error_words(ErrorKind::exhausted,
                        [&] {
                          train_and("run", [&] {
                            fs::remove(log);
                            fs::create_symlink(path("out"), log);
                          });
                        }),
            "\"" + log + "\" is a link and must be a plain file; put one in its place, or move it away");
  EXPECT_EQ(get(path("out")), "precious");
  EXPECT_TRUE(fs::exists(path("run/checkpoints/000000003/state.safetensors")));  // and nothing that was learned is lost
}

TEST_F(LogLines, ALogWithGapsOrLinesTwiceIsSaidAsTheRunGoesOn) {
  run(saved_every_step(8), "run", 6);
  const std::string whole = get(path("run/log.jsonl"));
  put(path("run/log.jsonl"), whole + whole);
  run(saved_every_step(8), "run", 7, true);
  EXPECT_NE(notes_.find("log.jsonl had 11 lines twice: one of each stays\n"), std::string::npos) << notes_;
  std::istringstream lines(get(path("run/log.jsonl")));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const LogLine read = *read_log_line(line);
    if (read.kind != LogLine::Kind::step || read.step < 3 || read.step == 5) kept += line + "\n";
  }
  put(path("run/log.jsonl"), kept);
  notes_.clear();
  run(saved_every_step(8), "run", 8, true);
  EXPECT_NE(notes_.find("log.jsonl has no line of 4 of the 7 steps that the run has made, the first of them step 3: "),
            std::string::npos)
      << notes_;
}

TEST(KeptLines, AreThoseThatTheRunKnowsOfOnceEach) {
  Progress before;
  before.step = 3;
  before.validated_step = 2;
  KeptLines lines(before);
  const std::string first = R"({"step":1,"loss_bits":8})", second = R"({"step":2,"loss_bits":7})";
  for (const std::string& line : {first, second, std::string(R"({"step":2,"valid_bits":7})"), std::string("{}"),
                                  std::string(R"({"step":2,"event":"interrupted"})")})
    EXPECT_EQ(lines.keep(line), line.size() > 10u) << line;
  EXPECT_FALSE(lines.keep(R"({"step":3,"valid_bits":7})"));
  EXPECT_FALSE(lines.keep(R"({"step":4,"loss_bits":7})"));
  EXPECT_FALSE(lines.keep(std::string_view("{\"step\":3,\"loss_bits\":6}\0", 25)));
  EXPECT_TRUE(lines.keep(R"({"step":2,"event":"interrupted"})"));  // it was, twice
  EXPECT_EQ(lines.problems(),
            std::vector<std::string>{"log.jsonl has no line of 1 of the 3 steps that the run has made, "
                                     "the first of them step 3: what is missing there stays so"});
  EXPECT_TRUE(lines.keep(R"({"step":3,"loss_bits":6})"));
  EXPECT_EQ(lines.problems(), std::vector<std::string>{});
  EXPECT_FALSE(lines.keep(first));
  EXPECT_TRUE(lines.keep(R"({"step":2,"loss_bits":6})"));
  EXPECT_EQ(lines.problems(),
            (std::vector<std::string>{"log.jsonl had 1 line twice: one of each stays",
                                      "log.jsonl has 1 line of what another line before tells otherwise: all stay"}));
}

}  // namespace
}  // namespace longstride
