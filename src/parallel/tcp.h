// Bytes over TCP: every two processes have a connection, and one thread of each carries what goes over all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parallel/meeting.h"
#include "parallel/world.h"

namespace longstride {

// met: how they met (its channels are not looked at). listener: where this one takes connections for data. Error
// unavailable where two cannot reach each other.
std::unique_ptr<World> connect_world(int rank, const Met& met, const Descriptor& listener, double patience_s);

}  // namespace longstride
