// What this machine offers, and how many of its threads are used.
#include "longstride/device.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>

#include "bindings.h"
#include "held.h"

namespace longstride::python {
namespace {

std::atomic<int> threads_in_use{0};  // 0: not asked for yet

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

void set_threads_of_process(int threads) {
  set_threads(threads);
  threads_in_use.store(machine_info().threads);
}

void quieten_pool() {
  if (threads_in_use.load() == 0) threads_in_use.store(machine_info().threads);
#pragma omp parallel num_threads(threads_in_use.load())
  {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
  }
}

void bind_machine(nb::module_& module) {
  module.def("machine", machine);
  module.def("set_threads", &set_threads_of_process);
}

}  // namespace longstride::python
