// A model as Python holds it: calls take turns, so that any threads may use it.
#pragma once

#include <unistd.h>

#include <memory>
#include <mutex>

#include "bindings.h"
#include "longstride/model.h"

namespace longstride::python {

// Its threads do not live on in a forked process, where waiting for their end would never end: there it is not
// destroyed, and the process's end frees it.
template <class T, class... Arguments>
std::shared_ptr<T> shared_until_fork(Arguments&&... arguments) {
  return std::shared_ptr<T>(new T(std::forward<Arguments>(arguments)...), [maker = getpid()](T* held) {
    if (getpid() == maker) delete held;
  });
}

struct Held {
  explicit Held(const ModelOptions& options) : model(options) {}
  Model model;
  std::mutex turn;  // taken without Python's lock only
};

struct ModelHandle {
  std::shared_ptr<Held> held;
};

// longstride/device.h's set_threads. The bindings call it by this name alone.
void set_threads_of_process(int threads);

// OpenMP's threads of this thread handle no signals from now on. They may be another library's that shares OpenMP with
// this one, made while signals were handled. Costs one parallel region. To be called while this thread handles none.
void quieten_pool();

// `computing` for what may multiply by oneDNN on the caller's thread.
template <class Work>
auto multiplying(Work&& work) {
  return computing([&] {
    quieten_pool();
    return work();
  });
}

// Runs `work(model)` in this thread when it is the caller's turn.
template <class Work>
auto taking_turns(const ModelHandle& handle, Work&& work) {
  return multiplying([&] {
    const std::lock_guard turn(handle.held->turn);
    return work(handle.held->model);
  });
}

}  // namespace longstride::python
