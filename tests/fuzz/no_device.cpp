// Readers need no device: this is what the linker finds where it looks for one, so that none has to be built for them.
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

std::unique_ptr<Backend> make_cpu_backend() {
  throw Error(ErrorKind::unavailable, "this program was built without a device");
}

std::unique_ptr<Backend> make_cuda_backend(int) { return make_cpu_backend(); }

std::vector<CardInfo> cards() { return {}; }

std::string why_no_cuda(int) { return "this program was built without a device"; }

MachineInfo machine_info() { return {}; }

}  // namespace longstride
