// This catches the signals that ask a program to end and raises a flag instead.
#include "signals.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace longstride::program {
namespace {

constexpr std::int64_t kPatience = 1'000'000'000;  // nanoseconds: one key that is held down asks once

std::atomic<bool> stop_asked{false};
std::atomic<std::int64_t> interrupted_at{0};  // when the first Ctrl-C came; 0: none did
std::atomic<const char*> answer{""};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);  // else a signal handler may not touch them

std::int64_t nanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Only what a handler may call. Supervisors send the same request twice (GNU timeout: to the process and to its group),
// so that a second one is no more than the first; a person who presses Ctrl-C again wants to know what goes on.
extern "C" void ask_to_stop(int signal) {
  const int reason = errno;
  stop_asked.store(true);
  if (signal == SIGINT) {
    const std::int64_t now = nanoseconds();
    std::int64_t first = 0;
    if (!interrupted_at.compare_exchange_strong(first, now) && now - first > kPatience) {
      const char* words = answer.load();
      if (::write(STDERR_FILENO, words, std::strlen(words)) < 0) stop_asked.store(true);  // nobody to tell
    }
  }
  errno = reason;
}

}  // namespace

const std::atomic<bool>* stop_on_signals(const char* line) {
  answer.store(line);
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    const bool ignored =
        before.sa_handler == SIG_IGN && (signal == SIGINT || signal == SIGHUP);  // by nohup, by a shell
    if (!ignored) sigaction(signal, &action, nullptr);
  }
  return &stop_asked;
}

void report_refused_writes() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace longstride::program
