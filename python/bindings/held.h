// A model as Python holds it: calls take turns, so that any threads may use it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "bindings.h"
#include "longstride/error.h"
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
  std::timed_mutex turn;  // a Turn holds it, or the thread of a Stream; nobody waits for it with Python's lock
  std::atomic<std::thread::id> caller{};  // of the Turn
};

// The caller's turn with a model; its thread has Python's lock. Another call may be at work for long, or a text that
// nobody reads on: a handler of a signal that raises ends the waiting.
class Turn {
 public:
  explicit Turn(Held& held) : held_(held), turn_(held.turn, std::defer_lock) {
    refuse_after_fork();  // where nobody would give it back
    if (held.caller.load() == std::this_thread::get_id()) {
      throw_invalid("longstride: a callback asks the model that is at work and waits for it; load another for it");
    }
    while (!turn_.try_lock() && !without_lock([&] { return turn_.try_lock_for(kBetweenLooks); })) {
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
    }
    held.caller.store(std::this_thread::get_id());
  }
  ~Turn() { held_.caller.store({}); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Held& held_;
  std::unique_lock<std::timed_mutex> turn_;
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
  const Turn turn(*handle.held);
  return multiplying([&] { return work(handle.held->model); });
}

}  // namespace longstride::python
