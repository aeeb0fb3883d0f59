// NCCL's place in a build without it, and in the cards' twin.
#include "cuda/nccl.h"
#include "longstride/error.h"

namespace longstride::cuda {

std::string why_no_nccl() { return "this build has no NCCL"; }

std::unique_ptr<Carrier> make_nccl_carrier(Card&, World&) {
  throw Error(ErrorKind::unavailable, "cuda: " + why_no_nccl());
}

}  // namespace longstride::cuda
