// What launchers leave in the environment: which of how many processes this one is, and who carries their bytes.
#pragma once

#include "longstride/processes.h"

namespace longstride::program {

struct Launch {
  MeetingPlace place;      // of size 1: this process is alone
  bool by_mpi = false;     // MPI knows where the others are; else they meet at place.host
  double patience_s = 25;  // for them to come: LONGSTRIDE_MEETING_S
  double silence_s = 15;   // after which one is lost: LONGSTRIDE_SILENCE_S
};

// RANK and WORLD_SIZE with MASTER_ADDR and MASTER_PORT (torchrun, or by hand), what launchers of MPI say, SLURM's.
// Error invalid_argument where one that is needed is missing or is no number.
Launch find_launch();

}  // namespace longstride::program
