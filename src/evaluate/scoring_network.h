// The network that scores so many tokens of a held model: windows of a context, as many at once as pay.
#pragma once

#include <cstdint>

#include "evaluate/protocol.h"
#include "model/held_model.h"

namespace longstride {

// size: tokens to score, at least 1. min_context in [0, context). Valid until the held model makes another network.
Network& scoring_network(HeldModel& held, std::int64_t size, std::int64_t min_context, DType type);

}  // namespace longstride
