// These tests stop `longstride train` by signals, limits and file systems that can do less, and start it twice.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>

#include "apps/program.h"

namespace longstride {
namespace {

class Stopping : public Commands {
 protected:
  // Trains until it is stopped; returns when some steps are done.
  pid_t start_long(const std::string& out, const std::string& option = "--threads=1") const {
    const pid_t process = start(training("train", {"--out", path(out), "--steps=1000000", option}));
    EXPECT_TRUE(comes([&] { return read(out + "/log.jsonl").size() > 600; }));
    return process;
  }

  // Is within its first step and stays there.
  pid_t start_endless_step() const {
    const pid_t process = start(training("train", {"--out", path("run"), "--steps", "2", "--set",
                                                   "training.accumulate=65536", "--set", "training.batch=64"}));
    EXPECT_TRUE(comes([&] { return read("err").find("time") != std::string::npos; }));
    const int before = hundredths(process);
    EXPECT_TRUE(comes([&] { return hundredths(process) > before + 20; }));
    return process;
  }

  // Of seconds that the process has computed.
  int hundredths(pid_t process) const {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    std::string word;
    for (int field = 0; field < 13; ++field) stat >> word;
    int ticks = 0;
    stat >> ticks;
    return ticks;
  }

  bool runs(pid_t process) const { return waitpid(process, nullptr, WNOHANG) == 0; }

  void kill_and_wait(pid_t process) const {
    ::kill(process, SIGKILL);
    finish(process);
  }

  void expect_stopped_well(pid_t process, const std::string& out) const {
    const Finished done = finish(process);
    EXPECT_EQ(done.status, 130) << done.err;
    EXPECT_NE(done.err.find("`longstride train --resume --out " + path(out) + "` goes on"), std::string::npos)
        << done.err;
    const Finished info = run({"info", path(out), "--checkpoint", "latest", "--json"});
    EXPECT_EQ(info.status, 0) << info.err;
    EXPECT_GT(info.json()["step"], 0);
  }
};

TEST_F(Stopping, FinishesTheStepSavesAndExitsWith130) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2}) {
    const std::string out = "run" + std::to_string(signal);
    const pid_t process = start_long(out);
    ::kill(process, signal);
    expect_stopped_well(process, out);
  }
}

TEST_F(Stopping, TakesTheSameRequestTwiceForOne) {
  const pid_t process = start_endless_step();
  for (const int signal : {SIGTERM, SIGTERM, SIGHUP, SIGHUP, SIGINT, SIGINT, SIGINT}) {
    ::kill(process, signal);
    wait_ms(20);  // so that each is delivered by itself
  }
  wait_ms(300);
  EXPECT_TRUE(runs(process));
  EXPECT_EQ(read("err").find("Ctrl-\\"), std::string::npos) << read("err");
  const std::string at_once = "longstride train: stopping; a step that is under way is finished and saved first\n";
  EXPECT_NE(read("err").find(at_once), std::string::npos) << read("err");  // while the step goes on
  EXPECT_EQ(read("err").find(at_once), read("err").rfind(at_once)) << read("err");
  wait_ms(1000);
  ::kill(process, SIGINT);  // who asks again after a while is told
  EXPECT_TRUE(comes([&] {
    return read("err").find(
               "longstride train: the step is being finished and the checkpoint written; Ctrl-\\ ends at "
               "once, without it\n") != std::string::npos;
  })) << read("err");
  EXPECT_TRUE(runs(process));
  kill_and_wait(process);
}

TEST_F(Stopping, AnEvaluationHasNoResultThen) {
  train(1);
  write("long", std::string(20'000'000, 'a'));
  const pid_t process = start({"evaluate", path("run"), "--data", path("long"), "--threads", "1", "--json"});
  EXPECT_TRUE(comes([&] { return hundredths(process) > 20; }));
  ::kill(process, SIGINT);
  const Finished done = finish(process);
  EXPECT_EQ(done.status, 130);
  EXPECT_EQ(done.out, "");
  EXPECT_NE(done.err.find("longstride evaluate: interrupted after "), std::string::npos) << done.err;
}

TEST_F(Stopping, SaysNothingWhereItIsToBeQuiet) {
  const pid_t process = start_long("run", "--quiet");
  ::kill(process, SIGINT);
  EXPECT_EQ(finish(process).status, 130);
  EXPECT_EQ(read("err"), "");
}

TEST_F(Stopping, LeavesIgnoredWhatItWasStartedToIgnore) {
  ignoring_ = true;
  const auto interrupt = std::signal(SIGINT, SIG_IGN), hangup = std::signal(SIGHUP, SIG_IGN);  // nohup ... &
  const pid_t process = start_long("run");
  std::signal(SIGINT, interrupt);
  std::signal(SIGHUP, hangup);
  ::kill(process, SIGHUP);
  ::kill(process, SIGINT);
  const std::size_t size = read("run/log.jsonl").size();
  EXPECT_TRUE(comes([&] { return read("run/log.jsonl").size() > size + 2000; }));  // several steps
  EXPECT_TRUE(runs(process));
  ::kill(process, SIGTERM);
  expect_stopped_well(process, "run");
}

TEST_F(Stopping, SaysInOneSentenceThatAFileMayNotGrowAndKeepsTheLastCheckpoint) {
  train(2);
  std::string config = read("run/config.json");
  const auto at = config.find("\"steps\": 2,");
  ASSERT_NE(at, std::string::npos);
  write("run/config.json", config.replace(at, 11, "\"steps\": 4,"));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto size = std::filesystem::file_size(path("run/checkpoints/000000002/state.safetensors"));
  const rlimit limited = {size / 2, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const Finished done = run({"train", "--resume", "--out", path("run"), "--quiet"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("longstride train: cannot write"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("File too large\n"), std::string::npos) << done.err;
  EXPECT_FALSE(exists("run/checkpoints/000000004"));
  const Finished after = run({"train", "--resume", "--out", path("run"), "--json", "--quiet"});
  EXPECT_EQ(after.json()["step"], 4) << after.err;
}

TEST_F(Stopping, RefusesToTrainARunThatIsBeingTrained) {
  const pid_t process = start_long("run", "--quiet");
  const std::string config = read("run/config.json");
  const auto second = [&](const std::vector<std::string>& arguments) {
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 2);
    EXPECT_NE(done.err.find("run \"" + path("run") + "\" is being trained by another process\n"), std::string::npos)
        << done.err;
  };
  second({"train", "--resume", "--out", path("run"), "--quiet"});
  second(training("train", {"--out", path("run"), "--steps", "1", "--overwrite", "--quiet"}));
  EXPECT_EQ(read("run/config.json"), config);
  ::kill(process, SIGTERM);
  EXPECT_EQ(finish(process).status, 130);
  EXPECT_EQ(run({"info", path("run"), "--checkpoint", "latest"}).status, 0);
}

// A handler's frame on a stack pointer that a product has pointed elsewhere would break the heap.
TEST_F(Stopping, ComputesOnUnderAStormOfSignals) {
  const pid_t process = start_endless_step();
  for (int i = 0; i < 500; ++i) {
    ::kill(process, SIGHUP);
    wait_ms(2);
  }
  EXPECT_TRUE(runs(process)) << read("err");
  kill_and_wait(process);
}

// Makes these system calls fail in this process and those that it starts, as file systems do that lack them.
bool forbid_links_exchanges_and_locks() {
  const auto fail = [](int reason) {
    return sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(reason));
  };
  const auto load = [](std::size_t offset) {
    return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
  };
  const auto is = [](unsigned value, unsigned char yes, unsigned char no) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
  };
  sock_filter program[] = {
      load(offsetof(seccomp_data, nr)),
#ifdef SYS_symlink
      is(SYS_symlink, 0, 1),
      fail(EPERM),
#endif
      is(SYS_symlinkat, 0, 1),
      fail(EPERM),
      is(SYS_flock, 0, 1),
      fail(ENOLCK),
      is(SYS_renameat2, 0, 3),
      load(offsetof(seccomp_data, args) + 4 * sizeof(std::uint64_t)),  // its flags
      is(0, 1, 0),
      fail(EINVAL),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {static_cast<unsigned short>(std::size(program)), program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(Stopping, TrainsOnAFileSystemWithoutLinksExchangesAndLocks) {
  const auto command =
      training("train", {"--out", path("run"), "--steps", "6", "--set", "training.keep=2", "--set",
                         "training.validate_minutes=1e-9", "--set", "training.checkpoint_minutes=1e-9"});
  const pid_t child = ::fork();
  if (child == 0) ::_exit(forbid_links_exchanges_and_locks() ? finish(start(command)).status : 77);
  int status = 0;
  waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this system lets no process forbid itself anything";
  EXPECT_EQ(WEXITSTATUS(status), 0) << read("err");
  const std::string words = "the best checkpoint gets no link (cannot write \"" + path("run/best") +
                            "\": Operation not permitted); the program's commands find it without one\n";
  EXPECT_EQ(read("err").find(words), read("err").rfind(words));
  EXPECT_NE(read("err").find(words), std::string::npos) << read("err");
  EXPECT_FALSE(exists("run/best"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path("run")))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
  EXPECT_EQ(run({"info", path("run")}).status, 0);
  // The best that is found is the one that the validations in the log say.
  std::istringstream log(read("run/log.jsonl"));
  double bits = 1e9;
  int best = -1;
  for (std::string line; std::getline(log, line);) {
    const auto told = nlohmann::json::parse(line);
    if (told.contains("valid_bits") && told["valid_bits"] < bits) {
      bits = told["valid_bits"];
      best = told["step"];
    }
  }
  EXPECT_EQ(run({"info", path("run"), "--json"}).json()["step"], best);
}

}  // namespace
}  // namespace longstride
