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

// Runs `work(model)` in this thread when it is the caller's turn.
template <class Work>
auto taking_turns(const ModelHandle& handle, Work&& work) {
  return computing([&] {
    const std::lock_guard turn(handle.held->turn);
    return work(handle.held->model);
  });
}

}  // namespace longstride::python
