// This takes operands in the host's memory to a device, runs operations on them there, and brings back what they wrote.
// Of the operands that lie apart, every other one is in a buffer of the program, the rest outside.
//
// Whatever an operation does, three things are looked at: what lies around its operands stays as it was, so does what
// it only reads, and so does what lies between the rows of what it writes. Tests and `doctor` run operations this way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace longstride {

class DeviceTwin {
 public:
  DeviceTwin(Backend& backend, std::vector<Operation> operations);
  ~DeviceTwin();

  // What the host's memory holds now goes to the device; what the device holds after the run comes to the host. Returns
  // what was written that no operation may write, in words; empty where nothing was.
  [[nodiscard]] std::string run(const StepInputs& inputs = {}, const Executable::AtMark& at_mark = {});

 private:
  class Twin;
  std::unique_ptr<Twin> twin_;
};

}  // namespace longstride
