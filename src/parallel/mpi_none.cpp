// A build without MPI.
#include "longstride/error.h"
#include "longstride/processes.h"

namespace longstride {

std::shared_ptr<World> join_world_by_mpi() {
  throw Error(ErrorKind::unavailable,
              "this build has no MPI: install Open MPI or MPICH with its headers and build again, or start one process");
}

}  // namespace longstride
