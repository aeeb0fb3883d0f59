// The backend's place in a build without CUDA.
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

std::string why_no_cuda(int) { return "this build has no CUDA backend"; }

std::string card_words() { return why_no_cuda(); }

std::vector<CardInfo> cards() { return {}; }

std::unique_ptr<Backend> make_cuda_backend(int) { throw Error(ErrorKind::unavailable, "cuda: " + why_no_cuda()); }

}  // namespace longstride
