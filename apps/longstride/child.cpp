// This starts the program's own file again and reads what it prints.
#include "child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "longstride/error.h"

extern char** environ;

namespace longstride::program {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void refuse(int reason) {
  throw Error(ErrorKind::exhausted, fmt::format("cannot start this program once more: {}", std::strerror(reason)));
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> all;
  for (const auto& [name, value] : variables) all.push_back(name + "=" + value);
  const std::size_t ours = all.size();
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string one = *at;
    bool replaced = false;
    for (std::size_t i = 0; i < ours; ++i) replaced |= one.starts_with(variables[i].first + "=");
    if (!replaced) all.push_back(one);
  }
  return all;
}

std::string read_to_end(int descriptor) {
  std::string all;
  char bytes[4096];
  for (ssize_t got; (got = ::read(descriptor, bytes, sizeof bytes)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  return all;
}

}  // namespace

std::string Child::end_words() const {
  if (WIFSIGNALED(status))
    return fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

Child run_child(const std::vector<std::string>& arguments,
                const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> words = {"longstride"}, environment = environment_with(variables);
  words.insert(words.end(), arguments.begin(), arguments.end());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) refuse(errno);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  pid_t process = -1;
  const int reason =
      posix_spawn(&process, "/proc/self/exe", &files, nullptr, pointers(words).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (reason != 0) {
    ::close(ends[0]);
    refuse(reason);
  }
  Child child;
  child.out = read_to_end(ends[0]);
  ::close(ends[0]);
  while (::waitpid(process, &child.status, 0) < 0 && errno == EINTR) continue;
  return child;
}

}  // namespace longstride::program
