// The choice of a device by name, and one operation at a time.
#include "ops/backend.h"

#include "longstride/error.h"

namespace longstride {

void run_once(Backend& backend, Operation operation, const StepInputs& inputs) {
  Program program;
  program.add(std::move(operation));
  const std::unique_ptr<Executable> executable = backend.compile(std::move(program));
  executable->bind(nullptr);
  executable->run(inputs);
  backend.wait();
}

void check_device(const std::string& device) {
  if (device == "auto" || device == "cpu") return;
  if (device == "cuda") throw Error(ErrorKind::unavailable, "device: this build has no CUDA backend; use \"cpu\"");
  throw Error(ErrorKind::invalid_argument, "device: needs auto, cpu or cuda, got \"" + device + "\"");
}

std::unique_ptr<Backend> make_backend(const std::string& device) {
  check_device(device);
  return make_cpu_backend();
}

}  // namespace longstride
