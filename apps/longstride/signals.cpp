// This takes the signals that ask a program to end from the system and raises a flag instead.
#include "signals.h"

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "longstride/file.h"
#include "output.h"

namespace longstride::program {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{1};  // one key that is held down asks once

std::atomic<bool> stop_asked{false};
std::atomic<bool> end_asked{false};  // by another signal than Ctrl-C's

// Supervisors send the same request twice (GNU timeout: to the process and to its group), so that a second one is no
// more than the first; a person who presses Ctrl-C again wants to know what goes on.
void wait_for_requests(const sigset_t& signals, const std::string& line, const std::string& at_once) {
  bool asked = false, interrupted = false;
  Clock::time_point first;
  for (int signal = 0;;) {
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGINT) end_asked.store(true);
    stop_asked.store(true);
    if (!std::exchange(asked, true)) say(at_once);
    if (signal != SIGINT) continue;
    if (interrupted && Clock::now() - first > kPatience) say(line);
    if (!interrupted) first = Clock::now();
    interrupted = true;
  }
}

bool is_ignored(int signal) {
  struct sigaction before {};
  return sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN;
}

}  // namespace

// A thread of its own waits for them, and they are blocked in all others: oneDNN's products point the stack pointer
// into buffers of the heap, where the frame of a handler would overwrite what lies below.
const std::atomic<bool>* stop_on_signals(const std::string& line, const std::string& at_once) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGXCPU, SIGUSR1, SIGUSR2}) sigaddset(&signals, signal);
  for (const int signal : {SIGINT, SIGHUP})
    if (!is_ignored(signal)) sigaddset(&signals, signal);  // ignored by nohup, by a shell
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);           // threads that are made from now on inherit it
  end_waits_on(&stop_asked);
  std::thread(wait_for_requests, signals, line, at_once).detach();
  return &stop_asked;
}

bool is_stop_asked() { return stop_asked.load(); }

void without_signals(const std::function<void()>& begin) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  begin();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool take_interruption() { return stop_asked.load() && !end_asked.load() && stop_asked.exchange(false); }

void report_refused_writes() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace longstride::program
