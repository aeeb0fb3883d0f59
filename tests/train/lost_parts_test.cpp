// These tests take parts of a run away, or put something else in their place, before it goes on.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <functional>
#include <sstream>

#include "io/scratch.h"
#include "train/log_lines.h"
#include "train/training.h"
#include "train/whole_run.h"

namespace longstride {
namespace {

class LostParts : public Training {
 protected:
  Config every_step() const {
    Config c = saved_every_step(5);
    c.training.keep = 100;
    return c;
  }
  std::string refused(ErrorKind kind = ErrorKind::corrupt_data) {
    return error_words(kind, [&] { run(every_step(), "run", -1, true); });
  }
  std::string log() const { return get(path("run/log.jsonl")); }
  // The lines of the log for which `keep` is true.
  void cut_log(const std::function<bool(const LogLine&)>& keep) const {
    std::istringstream lines(log());
    std::string kept;
    for (std::string line; std::getline(lines, line);)
      if (keep(*read_log_line(line))) kept += line + "\n";
    put(path("run/log.jsonl"), kept);
  }
  void remove_checkpoints() const {
    fs::remove_all(path("run/checkpoints"));
    fs::create_directory(path("run/checkpoints"));
  }
};

TEST_F(LostParts, ARunWhoseCheckpointsAreGoneIsRefusedAndStaysAsItIs) {
  const std::string begin =
                        "train: run \"" + path("run") + "\" has no checkpoint to go on from: its log.jsonl knows of ",
                    end = "; bring its checkpoints back, or train --overwrite starts it anew";
  run(every_step(), "run", 4);
  fs::remove_all(path("run/samples"));
  const std::string before = log();
  remove_checkpoints();
  EXPECT_EQ(refused(), begin + "4 steps, and \"" + path("run/checkpoints") + "\" holds none" + end);
  fs::remove_all(path("run/checkpoints"));
  EXPECT_EQ(refused(), begin + "4 steps, and \"" + path("run/checkpoints") + "\" is gone" + end);
  EXPECT_EQ(log(), before);
  EXPECT_FALSE(fs::exists(path("run/samples")));  // not even its folders are made
  Config anew = every_step();
  TrainOptions options;
  options.out = path("run");
  options.overwrite = true;
  EXPECT_EQ(train(anew, options, {}).step, 5);
}

TEST_F(LostParts, OfARunThatWasKilledTheClockTellsWhetherItHadACheckpoint) {
  run(every_step(), "run", 4);
  remove_checkpoints();
  cut_log([](const LogLine& line) { return line.event != "interrupted"; });
  EXPECT_NE(refused().find("knows of 4 steps"), std::string::npos);
  cut_log([](const LogLine& line) { return line.step < 2 || line.kind == LogLine::Kind::step; });
  EXPECT_NE(refused().find("knows of 4 steps"), std::string::npos);
  cut_log([](const LogLine& line) { return line.step < 2; });  // killed while its first checkpoint was written
  EXPECT_EQ(run(every_step(), "run", -1, true).step, 5);
  EXPECT_NE(notes_.find("the run has no checkpoint yet: it starts from the beginning\n"), std::string::npos);
  EXPECT_EQ(log().find("\"started\""), log().rfind("\"started\""));
}

TEST_F(LostParts, ARunThatNeverHadACheckpointStartsFromTheBeginning) {
  const std::string started = "{\"step\":0,\"event\":\"started\"}\n", step = R"({"step":1,"loss_bits":8,"step_s":2})";
  const std::string second = R"({"step":2,"loss_bits":8,"step_s":2)", validated = R"({"step":1,"valid_bits":8})";
  const auto begins = [&](const std::string& lines, double minutes) {
    Config c = config(3);
    c.training.checkpoint_minutes = minutes;
    fs::create_directories(path("run/checkpoints"));
    put(path("run/config.json"), write_config(c));
    put(path("run/log.jsonl"), started + lines);
    try {
      require_none_lost(path("run"));
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  EXPECT_TRUE(begins("", 1));
  EXPECT_TRUE(begins(step + "\n" + second + "}\n", 1));
  EXPECT_FALSE(begins(step + "\n" + second + "}\n", 0.01));  // 0.6 s
  EXPECT_TRUE(begins(step + "\n" + second + "}\n", 0));      // none but at the end
  EXPECT_TRUE(begins(step + "\n" + second + ",\"skipped\":true}\n", 0.01));
  EXPECT_TRUE(begins(step + "\n" + validated + "\n", 1));
  EXPECT_FALSE(begins(step + "\n" + validated + "\n" + second + "}\n", 1));
  const std::string diverged = R"({"step":2,"event":"diverged"})";
  EXPECT_FALSE(begins(step + "\n" + second + "}\n" + diverged + "\n", 0.01));
  fs::create_directory(path("run/checkpoints/000000001.damaged"));
  EXPECT_TRUE(begins(step + "\n" + second + "}\n" + diverged + "\n", 0.01));
  fs::remove_all(path("run/checkpoints"));
  EXPECT_TRUE(begins("", 1));
}

TEST_F(LostParts, OnlyNamesOfTheProgramsOwnFormAreCheckpoints) {
  run(every_step(), "run", 4);
  fs::create_directory(path("run/checkpoints/2024"));
  fs::create_directory(path("run/checkpoints/2024.partial"));
  fs::copy(path("run/checkpoints/000000004"), path("run/checkpoints/31"));
  put(path("run/checkpoints/88888888"), "");
  put(path("run/checkpoints/0000000009"), "");
  EXPECT_EQ(checkpoint_steps(path("run")), (std::vector<std::int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(run(every_step(), "run", -1, true).step, 5);
  EXPECT_EQ(notes_, "");
  for (const char* name : {"2024", "2024.partial", "31", "88888888", "0000000009"})
    EXPECT_TRUE(fs::exists(path("run/checkpoints/") + name)) << name;
}

TEST_F(LostParts, ACheckpointThatIsALoopOfLinksIsSetAside) {
  run(every_step(), "run", 4);
  fs::create_symlink("000000100", path("run/checkpoints/000000100"));
  const std::string state = path("run/checkpoints/000000004/state.safetensors");
  fs::remove(state);
  fs::create_symlink("state.safetensors", state);
  EXPECT_EQ(find_checkpoint(path("run"), "latest"), path("run/checkpoints/000000004/model.safetensors"));
  EXPECT_EQ(run(every_step(), "run", -1, true).step, 5);
  for (const char* name : {"000000100.damaged", "000000004.damaged"})
    EXPECT_TRUE(fs::exists(fs::symlink_status(path("run/checkpoints/") + name))) << name;
}

TEST_F(LostParts, NoFileOfARunIsALink) {
  run(every_step(), "run", 4);
  for (const std::string name : {"log.jsonl", "config.json"}) {
    const std::string there = path("run/" + name), other = path("other");
    fs::rename(there, path("kept"));
    put(other, "precious");
    fs::create_symlink(other, there);
    const std::string end = " and must be a plain file; put one in its place, or move it away";
    EXPECT_EQ(refused(ErrorKind::invalid_argument), "train: \"" + there + "\" is a link" + end);
    EXPECT_EQ(get(other), "precious");
    fs::remove(there);
    ASSERT_EQ(::mkfifo(there.c_str(), 0600), 0);
    EXPECT_EQ(refused(ErrorKind::invalid_argument), "train: \"" + there + "\" is a pipe or a device" + end);
    fs::rename(path("kept"), there);
  }
  EXPECT_EQ(run(every_step(), "run", -1, true).step, 5);
}

TEST_F(LostParts, AFolderOfARunMayBeALinkThatLeadsSomewhere) {
  run(every_step(), "run", 4);
  const std::string before = log();
  for (const std::string name : {"checkpoints", "samples", "tensorboard"}) {
    fs::rename(path("run/" + name), path("disk-" + name));
    fs::create_symlink("../nowhere", path("run/" + name));
    EXPECT_EQ(
        refused(ErrorKind::exhausted),
        "train: \"" + path("run/" + name) +
            "\" is a link to \"../nowhere\", where nothing is; bring that back, or make the link lead to where it "
            "is now");
    fs::remove(path("run/" + name));
    fs::create_symlink("../disk-" + name, path("run/" + name));
  }
  EXPECT_EQ(log(), before);
  EXPECT_EQ(run(every_step(), "run", -1, true).step, 5);
  EXPECT_TRUE(fs::is_symlink(path("run/checkpoints")));
  EXPECT_TRUE(fs::exists(path("disk-checkpoints/000000005/model.safetensors")));
}

TEST_F(LostParts, WhatIsNoLinkOfTheRunsInPlaceOfBestStaysAndIsSaid) {
  const std::string link = path("run/best");
  const std::vector<std::function<void()>> others = {
      [&] { put(link, "dear diary"); },
      [&] { fs::create_symlink(path("data.txt"), link); },
      [&] {
        fs::create_directory(link);
        put(link + "/letter", "dear");
      },
  };
  for (const auto& put_other : others) {
    fs::remove_all(path("run"));
    run(every_step(), "run", 4);
    fs::remove(link);
    put_other();
    const fs::file_type kind = fs::symlink_status(link).type();
    notes_.clear();
    run(every_step(), "run", -1, true);
    EXPECT_EQ(notes_, "the best checkpoint gets no link (\"" + link +
                          "\" is none of the run's and stays); the program's commands find it without one\n");
    EXPECT_EQ(fs::symlink_status(link).type(), kind);
    TrainOptions options;
    options.out = path("run");
    options.overwrite = true;
    train(config(1), options, {});
    EXPECT_EQ(fs::symlink_status(link).type(), kind);
  }
  EXPECT_EQ(get(link + "/letter"), "dear");
}

}  // namespace
}  // namespace longstride
