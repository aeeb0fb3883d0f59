// This catches the signals that end a program and raises a flag instead.
#include "signals.h"

#include <csignal>

namespace longstride::program {
namespace {

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // else a signal handler may not touch it

extern "C" void ask_to_stop(int) { stop_asked.store(true); }

}  // namespace

const std::atomic<bool>* stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // the second finds the default action
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return &stop_asked;
}

void report_closed_pipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace longstride::program
