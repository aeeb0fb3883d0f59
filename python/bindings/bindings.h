// What the files of the bindings share: one function a subject that binds it, and the way in which long calls run.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <csignal>
#include <utility>

namespace longstride::python {

namespace nb = nanobind;

// Each adds its subject to the module. The Python part of the package, python/longstride, gives them their last form.
void bind_ending(nb::module_& module);
void bind_errors(nb::module_& module);
void bind_files(nb::module_& module);
void bind_pattern(nb::module_& module);
void bind_attention(nb::module_& module);
void bind_machine(nb::module_& module);
void bind_config(nb::module_& module);
void bind_model(nb::module_& module);
void bind_decoder(nb::module_& module);
void bind_sample(nb::module_& module);
void bind_view(nb::module_& module);
void bind_world(nb::module_& module);
void bind_train(nb::module_& module);

// Threads of OpenMP do not live on in a forked process, and a computation there would wait for them for ever. Throws
// unavailable in such a process, and remembers the process that computes first.
void refuse_after_fork();

// Who waits looks so often whether Ctrl-C was pressed, or somebody asks for an end.
constexpr std::chrono::milliseconds kBetweenLooks{50};

// Without Python's lock while this lives: other threads of Python go on. Where the process ends meanwhile the thread
// that made this never goes on (ending.cpp).
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// Runs `work` while other threads of Python go on. The work must touch no Python object.
template <class Work>
auto without_lock(Work&& work) {
  const Unlocked unlocked;
  return std::forward<Work>(work)();
}

// No signal is handled on this thread, nor on those that it starts, while this lives: oneDNN's products point the stack
// pointer into buffers of the heap, where the frame of a handler would overwrite what lies below.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsWait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  sigset_t before_ = {};
};

// The same for what computes. For calls that end soon: Ctrl-C waits for their end. Others are errands (errand.h).
template <class Work>
auto computing(Work&& work) {
  refuse_after_fork();
  return without_lock([&] {
    const SignalsWait waiting;
    return work();
  });
}

}  // namespace longstride::python
