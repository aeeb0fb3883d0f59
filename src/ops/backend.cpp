// This chooses a device, and runs operations that need no program around them.
#include "ops/backend.h"

#include "longstride/device.h"
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

std::unique_ptr<Carrier> Backend::make_carrier(World&) { throw Error(ErrorKind::unavailable, why_no_carrier()); }

void check_device(Device device) {
  if (device.kind != Device::cuda) return;
  const auto there = static_cast<int>(cards().size());
  if (there > 0 && (device.card < 0 || device.card >= there))
    throw_invalid("device: needs a card that this process is shown, cuda:0" +
                  (there == 1 ? "" : " to cuda:" + std::to_string(there - 1)) + ", got " + to_string(device));
  if (const std::string why = why_no_cuda(device.card); !why.empty())
    throw Error(ErrorKind::unavailable, "device: " + why + "; needs cpu");
}

std::unique_ptr<Backend> make_backend(Device device) {
  check_device(device);
  const bool on_card = device.kind == Device::cuda || (device == Device::automatic && why_no_cuda().empty());
  return on_card ? make_cuda_backend(device.card) : make_cpu_backend();
}

}  // namespace longstride
