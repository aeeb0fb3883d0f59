// Ctrl-C and SIGTERM as a wish to stop in good order.
#pragma once

#include <atomic>

namespace longstride::program {

inline constexpr int kInterrupted = 130;  // exit status: 128 + SIGINT, as shells have it

// From now on the first SIGINT or SIGTERM sets the flag returned; a second of the same kind ends the program at once.
const std::atomic<bool>* stop_on_signals();

// Writing to a closed pipe becomes an error of the write instead of a silent end.
void report_closed_pipes();

}  // namespace longstride::program
