// What the files of the bindings share: one function a subject that binds it, and the way in which long calls run.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

namespace longstride::python {

namespace nb = nanobind;

// Each adds its subject to the module. The Python part of the package, python/longstride, gives them their last form.
void bind_errors(nb::module_& module);
void bind_files(nb::module_& module);
void bind_pattern(nb::module_& module);
void bind_attention(nb::module_& module);
void bind_config(nb::module_& module);

// Threads of OpenMP do not live on in a forked process, and a computation there would wait for them for ever. Throws
// unavailable in such a process, and remembers the process that computes first.
void refuse_after_fork();

// Runs `work` while other threads of Python go on. The work must touch no Python object.
template <class Work>
auto without_lock(Work&& work) {
  const nb::gil_scoped_release released;
  return std::forward<Work>(work)();
}

// The same for what computes on several threads.
template <class Work>
auto computing(Work&& work) {
  refuse_after_fork();
  return without_lock(std::forward<Work>(work));
}

}  // namespace longstride::python
