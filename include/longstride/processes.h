// Processes that train and evaluate together, on one machine or many. Their results are the bits of one process
// (docs/parallel.md says under which conditions). A launcher starts them, mpirun or srun say; each joins the world, hands
// it to train() in its options, and leaves by letting it go.
#pragma once

#include <memory>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

class World;  // the library's own

// By MPI: which processes there are is what the launcher has told it. Error unavailable where the build has no MPI or
// MPI refuses.
std::shared_ptr<World> join_world_by_mpi();

int rank_of(const World& world);  // [0, size_of(world))
int size_of(const World& world);

// For a process that cannot go on: ends it and all others with this status, without waiting for them. Does not return
// where there are others.
void end_all(World& world, int status) noexcept;

}  // namespace longstride
#pragma GCC visibility pop
