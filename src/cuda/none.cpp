// The backend's place in a build without CUDA. Its functions are weak, for tests link the cards' twin beside it: some
// linkers take this file along for a function of the standard library that it holds as well.
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

[[gnu::weak]] std::string why_no_cuda(int) { return "this build has no CUDA backend"; }

[[gnu::weak]] std::string card_words() { return why_no_cuda(); }

[[gnu::weak]] std::vector<CardInfo> cards() { return {}; }

[[gnu::weak]] std::unique_ptr<Backend> make_cuda_backend(int) {
  throw Error(ErrorKind::unavailable, "cuda: " + why_no_cuda());
}

}  // namespace longstride
