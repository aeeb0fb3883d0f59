// These tests look at what commands show on terminals of several kinds, and in a file instead of one.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include <algorithm>
#include <sstream>

#include "apps/program.h"

namespace longstride {
namespace {

class Terminal : public Commands {
 protected:
  // What a command writes to a terminal in the place of a stream: "err", or its standard output.
  std::string shown(const std::vector<std::string>& arguments, bool output) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(master, 0);
    EXPECT_EQ(::grantpt(master), 0);
    EXPECT_EQ(::unlockpt(master), 0);
    const std::string name = ::ptsname(master);
    const int held = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);  // it does not hang up before the command
    if (!output) std::filesystem::create_symlink(name, root_ / "err");
    const pid_t process = start(arguments, output ? name : "");
    std::string text;
    for (bool ended = false;;) {
      pollfd ready = {master, POLLIN, 0};
      if (::poll(&ready, 1, ended ? 0 : 20) > 0) {
        char block[4096];
        const ssize_t got = ::read(master, block, sizeof block);
        if (got > 0) text.append(block, static_cast<std::size_t>(got));
      } else if (ended) {
        break;
      }
      int status = 0;
      if (!ended && ::waitpid(process, &status, WNOHANG) == process) {
        ended = true;
        EXPECT_EQ(status, 0) << text;
      }
    }
    ::close(held);
    ::close(master);
    std::filesystem::remove(root_ / "err");
    return text;
  }

  std::vector<std::string> run_of(int steps, const std::string& name) const {
    return training(
        "train", {"--out", path(name), "--steps", std::to_string(steps), "--set", "training.validate_minutes=0.00001"});
  }
};

TEST_F(Terminal, HasALineThatRenewsItselfWhereItObeysCodes) {
  environment_ = {"TERM=xterm"};
  const std::string text = shown(run_of(20, "run"), false);
  EXPECT_NE(text.find("\r\x1b[K"), std::string::npos) << text;
  EXPECT_NE(text.find(" left  "), std::string::npos) << text;
}

// Of 80 columns, as a terminal has that does not say how many.
TEST_F(Terminal, HasALineOfWholeParts) {
  environment_ = {"TERM=xterm"};
  const std::string text = shown(run_of(20, "run"), false), renewal = "\r\x1b[K";
  int lines = 0;
  for (std::size_t at = 0; (at = text.find(renewal, at)) != std::string::npos;) {
    at += renewal.size();
    const std::string line = text.substr(at, text.find_first_of("\r\n", at) - at);
    if (line.find(" left  ") == std::string::npos) continue;
    ++lines;
    EXPECT_LT(line.size(), 80u);
    const auto ends = [&](const char* part) { return line.ends_with(part); };
    EXPECT_TRUE(ends("% of peak") || ends(" tokens/s") || ends("bits/byte") || ends(")")) << line;
  }
  EXPECT_GT(lines, 0);
}

TEST_F(Terminal, GetsPlainLinesWhereItObeysNone) {
  for (const std::string kind : {"TERM=dumb", "TERM="}) {
    environment_ = {kind};
    const std::string text = shown(run_of(20, "run" + kind), false);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_NE(text.find(" left  "), std::string::npos) << text;
  }
}

// What follows on a terminal, a shell's question mostly, begins a line.
TEST_F(Terminal, IsLeftWithNoOpenLineByAChatThatEnds) {
  train(1);
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_TRUE(master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0);
  input_ = ::ptsname(master);
  const int held = ::open(input_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  std::string text;
  const auto shows = [&](const char* what) {
    pollfd ready = {master, POLLIN, 0};
    char block[4096];
    const ssize_t got = ::poll(&ready, 1, 20) > 0 ? ::read(master, block, sizeof block) : 0;
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
    return text.ends_with(what);
  };
  for (const bool by_signal : {true, false}) {
    text.clear();
    const pid_t process = start({"chat", path("run")}, "", input_);
    EXPECT_TRUE(comes([&] { return shows("> "); })) << text;
    if (by_signal) ::kill(process, SIGINT);
    if (!by_signal) {
      EXPECT_EQ(::write(master, "\x04", 1), 1);  // Ctrl-D
    }
    EXPECT_EQ(finish(process).status, by_signal ? 130 : 0);
    EXPECT_TRUE(comes([&] { return shows("> \r\n"); })) << text;
  }
  ::close(held);
  ::close(master);
}

// NO_COLOR is about colours: the line that renews itself has none.
TEST_F(Terminal, HasALineThatRenewsItselfWithoutColoursToo) {
  environment_ = {"TERM=xterm", "NO_COLOR=1"};
  const std::string text = shown(run_of(20, "run"), false);
  EXPECT_NE(text.find("\r\x1b[K"), std::string::npos) << text;
  for (std::size_t at = 0; (at = text.find('\x1b', at)) != std::string::npos; ++at)
    EXPECT_EQ(text.substr(at, 3), "\x1b[K") << text;
}

TEST_F(Terminal, GetsColoursUnlessTheyAreNotWanted) {
  const std::vector<std::string> pattern = {"pattern", "local(3)", "--length", "8"};
  environment_ = {"TERM=xterm", "NO_COLOR="};
  EXPECT_NE(shown(pattern, true).find("\x1b[36m"), std::string::npos);
  environment_ = {"TERM=xterm", "NO_COLOR=1"};
  EXPECT_EQ(shown(pattern, true).find('\x1b'), std::string::npos);
  environment_ = {"TERM=dumb", "NO_COLOR="};
  EXPECT_EQ(shown(pattern, true).find('\x1b'), std::string::npos);
  EXPECT_EQ(run(pattern).out.find('\x1b'), std::string::npos);
}

TEST_F(Terminal, InAFileProgressIsALineAMinute) {
  const Finished done = run(run_of(40, "run"));
  ASSERT_EQ(done.status, 0) << done.err;
  std::vector<std::string> states;
  std::istringstream lines(done.err);
  for (std::string line; std::getline(lines, line);)
    if (line.find(" left  ") != std::string::npos) states.push_back(line);
  ASSERT_EQ(states.size(), 2u) << done.err;  // the first and the last one
  EXPECT_NE(states[0].find("%  step 1/40  8.000 bits/byte  "), std::string::npos) << states[0];
  EXPECT_EQ(states[1].find("under 1 s left  100%  step 40/40  "), 0u) << states[1];
  EXPECT_NE(states[1].find(" bits/byte (validation "), std::string::npos) << states[1];
}

}  // namespace
}  // namespace longstride
