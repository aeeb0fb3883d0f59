// The built program as a user runs it: arguments in, exit status and both streams out; a folder of the test's own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace longstride {

struct Finished {
  int status = -1;  // exit status; 1000 + signal where one ended it
  std::string out, err;
  std::int64_t peak_bytes = 0;  // of resident memory
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

// A folder of its own in which programs run: their streams go to `out` and `err`, and `text` is there to learn from.
class Workplace {
 public:
  Workplace() {
    std::string pattern = (std::filesystem::temp_directory_path() / "longstride-apps-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    std::string text;
    for (int line = 0; text.size() < 4000; ++line)
      text += "line " + std::to_string(line * line % 97) + " of the text\n";
    write("text", text);
  }
  ~Workplace() { std::filesystem::remove_all(root_); }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(root_ / name, std::ios::binary) << bytes;
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(root_ / name, std::ios::binary).rdbuf();
    return text.str();
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(root_ / name); }

  // The streams go to `out` and `err` of the folder unless other paths are given.
  pid_t start(const std::vector<std::string>& arguments, const std::string& out = "",
              const std::string& err = "") const {
    std::vector<std::string> words = launcher_;
    words.emplace_back(LONGSTRIDE_PROGRAM);
    words.insert(words.end(), arguments.begin(), arguments.end());
    return start_words(words, out, err);
  }

  // Another program, which is looked for where the shell would.
  pid_t start_words(std::vector<std::string> words, const std::string& out = "", const std::string& err = "") const {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&files, 0, input_.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (out.empty() ? path("out") : out).c_str(), kFlags, 0600);
    posix_spawn_file_actions_addopen(&files, 2, (err.empty() ? path("err") : err).c_str(), kFlags, 0600);
    posix_spawnattr_t attributes;  // signals as a terminal's shell has them, whatever started the tests
    posix_spawnattr_init(&attributes);
    sigset_t usual;
    sigemptyset(&usual);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&usual, signal);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    if (!ignoring_) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> variables;
    for (const std::string& variable : environment_) variables.push_back(const_cast<char*>(variable.c_str()));
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    variables.push_back(nullptr);
    pid_t process = -1;
    EXPECT_EQ(posix_spawnp(&process, argv[0], &files, &attributes, argv.data(), variables.data()), 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return process;
  }

  Finished finish(pid_t process) const {
    int status = 0;
    rusage used = {};
    wait4(process, &status, 0, &used);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read("out"), read("err"),
            std::int64_t{used.ru_maxrss} * 1024};
  }

  Finished run(const std::vector<std::string>& arguments, const std::string& out = "") const {
    return finish(start(arguments, out));
  }

  // A model that trains in a moment; `more` comes after, so that it wins.
  std::vector<std::string> training(const std::string& command, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {command, "--data", path("text")};
    for (const char* set :
         {"model.context=40", "model.layers=1", "model.width=16", "model.heads=2", "model.feedforward=2",
          "model.attention=fixed(7,2)", "model.positions=[6,7]", "training.batch=2", "training.warmup_steps=2",
          "training.learning_rate=0.01", "training.precision=float32"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // A run of this many steps in the folder `run`.
  void train(int steps) const {
    const Finished done = run(training("train", {"--out", path("run"), "--steps", std::to_string(steps), "--quiet"}));
    ASSERT_EQ(done.status, 0) << done.err;
  }

  // The one sentence of a command that fails with this status; nothing on standard output.
  std::string refused(const std::vector<std::string>& arguments, int status = 2) const {
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, status) << done.err;
    EXPECT_EQ(done.out, "");
    std::string sentence = done.err;
    EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '\n'), 1) << sentence;
    for (std::size_t at; (at = sentence.find(root_.string())) != std::string::npos;) {
      sentence.replace(at, root_.string().size(), "");
    }
    return sentence;
  }

  std::filesystem::path root_;
  std::string input_ = "/dev/null";       // standard input of programs
  bool ignoring_ = false;                 // programs are started with the signals ignored that this process ignores
  std::vector<std::string> launcher_;     // the words that start programs, before their names; by path
  std::vector<std::string> environment_;  // NAME=VALUE for programs, besides what this process has
};

inline void wait_ms(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// Whether it comes to be true, within a minute.
inline bool comes(const std::function<bool()>& what) {
  for (int tries = 0; tries < 1200; ++tries, wait_ms(50))
    if (what()) return true;
  return false;
}

class Commands : public testing::Test, public Workplace {};

}  // namespace longstride
