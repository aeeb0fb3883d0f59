// Ctrl-C, and what systems send to end a program, as a wish to stop in good order.
#pragma once

#include <atomic>
#include <functional>
#include <string>

namespace longstride::program {

inline constexpr int kInterrupted = 130;  // exit status: 128 + SIGINT, as shells have it

// From now on SIGINT, SIGTERM, SIGHUP, SIGXCPU (a limit of processor time), SIGUSR1 and SIGUSR2 (which batch systems
// send before a limit) set the flag returned, however often they come, and waits for the other ends of pipes end
// (end_waits_on). SIGINT and SIGHUP stay ignored where the program was started so (nohup). A Ctrl-C that comes more
// than a second after the first writes `line`, newlines and all, to standard error, and the first of all signals writes
// `at_once`. To be called once, before there are threads.
const std::atomic<bool>* stop_on_signals(
    const std::string& line = "\nlongstride: stopping as soon as what is under way is done; Ctrl-\\ ends at once\n",
    const std::string& at_once = "");

// Whether such a signal has come, and was not taken by take_interruption.
bool is_stop_asked();

// Threads that `begin` starts are given no signals.
void without_signals(const std::function<void()>& begin);

// True where Ctrl-C has set the flag, and nothing else: it is lowered then, for a command that goes on after it.
bool take_interruption();

// Writing to a closed pipe, or beyond a limit of file size, becomes an error of the write instead of a silent end.
void report_refused_writes();

}  // namespace longstride::program
