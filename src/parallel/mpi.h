// The processes that a launcher of MPI started.
#pragma once

#include <memory>

#include "parallel/world.h"

namespace longstride {

// Error unavailable where the build has no MPI or MPI refuses.
std::unique_ptr<World> world_of_mpi();

}  // namespace longstride
