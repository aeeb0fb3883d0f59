// Tests that a card shares with its twin pick orders of threads by a seed, which a card leaves to nobody.
#include <cstdint>

#include "cuda/host/interpreter.h"

namespace longstride::cuda::host {

void set_seed(std::uint64_t) {}

}  // namespace longstride::cuda::host
