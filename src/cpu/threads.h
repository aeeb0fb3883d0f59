// How many threads the loops of this room use. Every parallel region says `num_threads(team())`, and has memory for
// threads(); what it computes must not depend on the number.
#pragma once

namespace longstride::cpu {

int threads();  // set_threads (longstride/device.h); until then what OpenMP was started with
int team();     // of them those that a loop takes now: less while others want the cores (cpu/waiting.h)

// Whether the system lets this process have so many threads more at once, for a moment.
bool can_start(int more);

}  // namespace longstride::cpu
