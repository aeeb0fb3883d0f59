// How many threads the loops of this room use. Every parallel region says `num_threads(threads())`; what it computes
// must not depend on the number.
#pragma once

namespace longstride::cpu {

int threads();  // set_threads (longstride/device.h); until then what OpenMP was started with

}  // namespace longstride::cpu
