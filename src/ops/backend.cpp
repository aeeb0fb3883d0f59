// This chooses a device, and runs operations that need no program around them.
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
  if (device != Device::cuda) return;
  if (const std::string why = why_no_cuda(); !why.empty())
    throw Error(ErrorKind::unavailable, "device: " + why + "; needs cpu");
}

std::unique_ptr<Backend> make_backend(Device device) {
  check_device(device);
  const bool on_card = device == Device::cuda || (device == Device::automatic && why_no_cuda().empty());
  return on_card ? make_cuda_backend() : make_cpu_backend();
}

}  // namespace longstride
