// These tests give `longstride` pipes and closed descriptors in the place of files.
#include <sys/stat.h>

#include <iterator>
#include <thread>

#include "apps/program.h"

namespace longstride {
namespace {

class Pipes : public Commands {
 protected:
  Pipes() { EXPECT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0); }

  // Whether the process has the thread that signals are taken by, and does nothing for half a second.
  bool waits(pid_t process) const {
    const std::string folder = "/proc/" + std::to_string(process);
    const auto sleeps = [&] {
      std::ifstream stat(folder + "/stat");
      std::string number, name, state;
      stat >> number >> name >> state;
      return state == "S";
    };
    for (int look = 0; look < 5; ++look, wait_ms(100)) {
      const std::filesystem::directory_iterator threads(folder + "/task");
      if (std::distance(begin(threads), end(threads)) < 2 || !sleeps()) return false;
    }
    return true;
  }

  void end_by(int signal, pid_t process, const std::string& command) const {
    ::kill(process, signal);
    EXPECT_TRUE(comes([&] {
      siginfo_t ended = {};
      return waitid(P_PID, static_cast<id_t>(process), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0;
    })) << command;
    ::kill(process, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(process, &status, 0), process);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << command << " " << status << ": " << read("err");
    EXPECT_NE(read("err").find(": stopped while it waited for "), std::string::npos) << read("err");
  }
};

TEST_F(Pipes, AreWaitedForUntilASignalComes) {
  train(1);
  for (const auto& [signal, arguments] : std::vector<std::pair<int, std::vector<std::string>>>{
           {SIGTERM, {"train", "--config", path("pipe"), "--data", path("text"), "--out", path("x")}},
           {SIGINT, {"sample", path("run"), "--prime", path("pipe")}},
           {SIGTERM, {"sample", path("run"), "--tokens", "3", "--out", path("pipe")}},
           {SIGINT, {"evaluate", path("run"), "--data", path("text"), "--bytes", "100", "--page", path("pipe")}}}) {
    const pid_t process = start(arguments);
    EXPECT_TRUE(comes([&] { return waits(process); }));
    end_by(signal, process, arguments[0]);
  }
}

TEST_F(Pipes, AReaderWhoTakesNothingIsLeftAfterASignal) {
  train(1);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ::fcntl(reader, F_SETPIPE_SZ, 4096);
  const pid_t process = start({"sample", path("run"), "--tokens", "6000", "--quiet"}, path("pipe"));
  EXPECT_TRUE(comes([&] { return waits(process); }));
  end_by(SIGTERM, process, "sample");
  ::close(reader);
}

TEST_F(Pipes, GiveSettingsAndTextsAndTakeSamples) {
  const pid_t process = start(training("train", {"--config", path("pipe"), "--out", path("run"), "--quiet"}));
  std::thread writer([&] { write("pipe", R"({"training": {"steps": 3}})"); });
  EXPECT_EQ(finish(process).status, 0) << read("err");
  writer.join();
  EXPECT_TRUE(exists("run/checkpoints/000000003"));
  const pid_t sampling = start({"sample", path("run"), "--tokens", "3", "--prompt", "abc", "--out", path("pipe")});
  EXPECT_EQ(read("pipe").substr(0, 3), "abc");
  EXPECT_EQ(finish(sampling).status, 0) << read("err");
}

TEST_F(Pipes, AreNoConfigurationOfARun) {
  train(1);
  std::filesystem::remove(path("run/config.json"));
  ASSERT_EQ(::mkfifo(path("run/config.json").c_str(), 0600), 0);
  EXPECT_NE(refused({"train", "--resume", "--out", path("run")})
                .find("/run/config.json\" is a pipe or a device and must be a plain file"),
            std::string::npos);
}

TEST_F(Pipes, AClosedStandardInputIsCalledSo) {
  train(1);
  launcher_ = {"/bin/sh", "-c", "exec \"$0\" \"$@\" <&-"};
  EXPECT_EQ(refused({"sample", path("run"), "--prime", "-"}),
            "longstride sample: cannot read \"/dev/stdin\": standard input is closed\n");
  EXPECT_EQ(refused({"plan", "--config", "/dev/stdin"}),
            "longstride plan: cannot read \"/dev/stdin\": standard input is closed\n");
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", "/dev/stdin"}),  // and not every file of the machine
            "longstride evaluate: cannot read \"/dev/stdin\": standard input is closed\n");
  EXPECT_EQ(refused({"attention", path("run"), "--prime", "/dev/stdin"}),
            "longstride attention: cannot read \"/dev/stdin\": standard input is closed\n");
  EXPECT_EQ(refused({"chat", path("run"), "--quiet"}),
            "longstride chat: standard input is closed, and what is said to the model comes from there\n");
  launcher_ = {"/bin/sh", "-c", "exec \"$0\" \"$@\" </"};
  EXPECT_EQ(refused({"chat", path("run"), "--quiet"}), "longstride chat: cannot read standard input: Is a directory\n");
}

// `cd texts; longstride train --data . --out ../run >log 2>&1`
TEST_F(Pipes, AFileThatTakesTheWordsIsNoData) {
  std::filesystem::create_directory(path("texts"));
  write("texts/text", read("text"));
  std::vector<std::string> arguments =
      training("train", {"--out", path("run"), "--steps", "2", "--set", "training.validate_minutes=0"});
  arguments[2] = path("texts");
  launcher_ = {"/bin/sh", "-c", "exec \"$0\" \"$@\" >>" + path("texts/log") + " 2>&1"};
  for (int session = 0; session < 2; ++session) {
    EXPECT_EQ(run(arguments).status, 0) << read("texts/log");
    arguments = {"train", "--resume", "--out", path("run"), "--steps", "4"};
  }
  const std::string log = read("texts/log"),
                    left_out = path("texts/log") + "\" takes the words of this program and is left out";
  EXPECT_NE(log.find(left_out), std::string::npos) << log;
  EXPECT_NE(log.find(left_out), log.rfind(left_out)) << log;  // by both sessions
  EXPECT_NE(log.find("4 steps; "), std::string::npos) << log;
}

}  // namespace
}  // namespace longstride
