// Every device that the library can compute on is asked of operations here; one that this build or this machine lacks is
// skipped aloud.
#include "ops/on_device.h"

namespace longstride::tests {

std::vector<Device> devices_under_test() { return {Device::cpu, Device::cuda}; }

}  // namespace longstride::tests
