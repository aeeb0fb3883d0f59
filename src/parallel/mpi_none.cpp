// A build without MPI.
#include "longstride/error.h"
#include "parallel/mpi.h"

namespace longstride {

bool built_with_mpi() { return false; }

std::unique_ptr<World> world_of_mpi() {
  throw Error(ErrorKind::unavailable,
              "this build has no MPI: install Open MPI or MPICH with its headers and build again, or let the processes "
              "speak TCP");
}

}  // namespace longstride
