// The choice of a device by name, and one operation at a time.
#include "ops/backend.h"

#include "longstride/error.h"

namespace longstride {

std::unique_ptr<Executable> compile_bound(Backend& backend, std::vector<Operation> operations) {
  Program program;
  for (Operation& operation : operations) program.add(std::move(operation));
  std::unique_ptr<Executable> executable = backend.compile(std::move(program));
  executable->bind(nullptr);
  return executable;
}

void run_once(Backend& backend, Operation operation, const StepInputs& inputs) {
  compile_bound(backend, {std::move(operation)})->run(inputs);
  backend.wait();
}

void check_device(Device device) {
  if (device == Device::cuda) throw Error(ErrorKind::unavailable, "device: this build has no CUDA backend; needs cpu");
}

std::unique_ptr<Backend> make_backend(Device device) {
  check_device(device);
  return make_cpu_backend();
}

}  // namespace longstride
