// Work of a twin's stream: done at once, or noted where the card records it (Card::record).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/card.h"

namespace longstride::cuda::host {

using Work = std::vector<std::function<void()>>;

void put(Stream& stream, std::function<void()> work);

// How often recorded work was put into a stream, in this process so far.
std::int64_t replays();

}  // namespace longstride::cuda::host
