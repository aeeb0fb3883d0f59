// Processes that a launcher started: what it has left in the environment, and this process's share of a machine's cores
// (docs/parallel.md). The library reads no environment: its caller says what a variable is, std::getenv does.
#pragma once

#include <functional>
#include <memory>

#include "longstride/processes.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// The text of a variable; nullptr where it is not set.
using Environment = std::function<const char*(const char* variable)>;

struct Launch {
  MeetingPlace place;      // of size 1: this process is alone
  bool by_mpi = false;     // MPI knows where the others are; else they meet at place.host
  double patience_s = 25;  // for them to come: LONGSTRIDE_MEETING_S
  double silence_s = 15;   // after which one is lost: LONGSTRIDE_SILENCE_S
};

// RANK and WORLD_SIZE with MASTER_ADDR and MASTER_PORT (torchrun, or by hand), what launchers of MPI say, SLURM's.
// Error invalid_argument where one that is needed is missing or is no number.
Launch find_launch(const Environment& environment);

// Joins the others, by MPI or at the meeting place; patience and silence are the launch's. Not for a launch of size 1.
// Errors: as longstride/processes.h has them; unavailable where MPI finds other processes than were started.
std::shared_ptr<World> join_launched(const Launch& launch, Joining joining);

// How many of its machine's cores are this process's, at least 1: each is divided among the processes of the world that
// may run on it, and what a control group allows among those in it. What OMP_NUM_THREADS wishes for goes before, but
// for the 1 that torchrun sets. All processes call it, before any sets its threads.
int share_of_cores(World& world, const Environment& environment);

}  // namespace longstride
#pragma GCC visibility pop
