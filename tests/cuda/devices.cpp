// Here Device::cuda is the twin on the host (cuda/host), and the tests of tests/ops ask it alone.
#include "ops/on_device.h"

namespace longstride::tests {

std::vector<Device> devices_under_test() { return {Device::cuda}; }

}  // namespace longstride::tests
