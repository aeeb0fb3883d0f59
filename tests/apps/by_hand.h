// Several processes of the program that train one run, each started as somebody would by hand.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "apps/program.h"
#include "parallel/processes.h"

namespace longstride {

class Processes : public Commands {
 protected:
  using Clock = std::chrono::steady_clock;
  struct Run {
    std::vector<pid_t> processes;  // 0: has ended, and what it left is in `ended`
    std::vector<Finished> ended;
  };

  ~Processes() override {
    for (const pid_t process : started_) ::kill(process, SIGKILL);
    for (const pid_t process : started_) waitpid(process, nullptr, 0);
  }

  // As somebody starts them by hand. more: of one process, by its rank.
  Run start_by_hand(int size, const std::vector<std::string>& arguments,
                    const std::function<std::vector<std::string>(int rank)>& more = {}) {
    const int port = free_port();
    Run run;
    for (int rank = 0; rank < size; ++rank) {
      environment_ = {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size), "MASTER_ADDR=127.0.0.1",
                      "MASTER_PORT=" + std::to_string(port), "LONGSTRIDE_SILENCE_S=4"};
      environment_.insert(environment_.end(), also_.begin(), also_.end());
      std::vector<std::string> words = arguments;
      if (more) {
        const std::vector<std::string> added = more(rank);
        words.insert(words.end(), added.begin(), added.end());
      }
      run.processes.push_back(start(words, path("out" + std::to_string(rank)), path("err" + std::to_string(rank))));
      started_.push_back(run.processes.back());
    }
    environment_.clear();
    run.ended.resize(run.processes.size());
    return run;
  }

  // Waits for all but those that are left out. How long it took.
  double wait_for_end(Run& run, int left_out = -1) {
    const Clock::time_point begun = Clock::now();
    for (std::size_t rank = 0; rank < run.processes.size(); ++rank) {
      if (static_cast<int>(rank) == left_out) continue;
      int status = 0;
      while (waitpid(run.processes[rank], &status, WNOHANG) == 0 && Clock::now() - begun < std::chrono::minutes(1))
        wait_ms(5);
      std::erase(started_, run.processes[rank]);
      const std::string number = std::to_string(rank);
      run.ended[rank] = {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read("out" + number),
                         read("err" + number)};
    }
    return std::chrono::duration<double>(Clock::now() - begun).count();
  }

  std::vector<std::string> training_of(const std::string& out, int steps, const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {
        "--out", path(out),          "--steps",    std::to_string(steps), "--set", "training.accumulate=4",
        "--set", "training.lanes=4", "--threads=1"};
    all.insert(all.end(), more.begin(), more.end());
    return training("train", all);
  }

  std::string model(const std::string& out, int step) const {
    char name[64];
    std::snprintf(name, sizeof name, "/checkpoints/%09d/model.safetensors", step);
    return read(out + name);
  }

  // More than there were.
  bool steps_are_done(const std::string& out, std::size_t log_bytes = 0) const {
    return comes([&] { return read(out + "/log.jsonl").size() > log_bytes + 1500; });
  }

  int last_step(const std::string& out) const {
    const Finished info = run({"info", path(out), "--checkpoint", "latest", "--json"});
    EXPECT_EQ(info.status, 0) << info.err;
    return info.json()["step"];
  }

  void set_steps(const std::string& out, int then, int now) const {
    std::string config = read(out + "/config.json");
    const std::string before = "\"steps\": " + std::to_string(then) + ",";
    const auto at = config.find(before);
    ASSERT_NE(at, std::string::npos) << config;
    write(out + "/config.json", config.replace(at, before.size(), "\"steps\": " + std::to_string(now) + ","));
  }

  std::vector<std::string> resuming(const std::string& out) const {
    return {"train", "--resume", "--out", path(out), "--threads=1"};
  }

  // A run with a checkpoint at step 3, which would not end where it goes on.
  std::size_t prepare(const std::string& out) {  // returns the bytes of its log
    EXPECT_EQ(run(training_of(out, 3, {"--quiet"})).status, 0);
    set_steps(out, 3, 1000000);
    return read(out + "/log.jsonl").size();
  }

  Run start_long(const std::string& out, int size) {
    const std::size_t log_bytes = prepare(out);
    Run run = start_by_hand(size, resuming(out));
    EXPECT_TRUE(steps_are_done(out, log_bytes)) << read("err0");
    return run;
  }

  // It goes on in another number of processes, to the bytes of a run that nothing happened to.
  void expect_goes_on(const std::string& out, int size) {
    EXPECT_EQ(last_step(out), 3);
    set_steps(out, 1000000, 20);
    Run again = start_by_hand(size, resuming(out));
    wait_for_end(again);
    for (const Finished& one : again.ended) EXPECT_EQ(one.status, 0) << one.err;
    if (!exists("whole")) {
      prepare("whole");
      set_steps("whole", 1000000, 20);
      EXPECT_EQ(run(resuming("whole")).status, 0);
    }
    EXPECT_TRUE(!model(out, 20).empty() && model(out, 20) == model("whole", 20)) << out;
  }

  // How often a sentence stands in what all processes said.
  static int said(const Run& run, const std::string& sentence) {
    int count = 0;
    for (const Finished& one : run.ended)
      for (std::size_t at = 0; (at = one.err.find(sentence, at)) != std::string::npos; ++at) ++count;
    return count;
  }

  std::vector<pid_t> started_;
  std::vector<std::string> also_;  // variables
};

}  // namespace longstride
