// What this machine offers, and how many of its threads are used.
#include "longstride/device.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace longstride::python {
namespace {

nb::dict machine() {
  const MachineInfo info = machine_info();
  nb::dict fields;
  fields["processor"] = info.processor;
  fields["instruction_sets"] = nb::tuple(nb::cast(info.instruction_sets));
  fields["instruction_set"] = info.instruction_set;
  fields["threads"] = info.threads;
  fields["memory_bytes"] = info.memory_bytes;
  fields["memory_available_bytes"] = info.memory_available_bytes;
  fields["bfloat16"] = info.bfloat16;
  fields["libraries"] = nb::tuple(nb::cast(info.libraries));
  return fields;
}

}  // namespace

void bind_machine(nb::module_& module) {
  module.def("machine", machine);
  module.def("set_threads", &set_threads);
}

}  // namespace longstride::python
