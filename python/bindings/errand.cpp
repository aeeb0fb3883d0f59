// This runs long work on a thread of its own while the caller's thread answers Python.
#include "errand.h"

#include <thread>

#include "ending.h"

namespace longstride::python {

void Errand::run(const std::function<void()>& work) {
  refuse_after_fork();
  {
    const Unlocked unlocked;
    const StopsAtTheEnd stops(stop_);
    std::thread worker;
    {
      const SignalsWait waiting;  // the worker inherits it
      worker = std::thread([&] { do_work(work); });
    }
    attend();
    worker.join();
  }
  if (raised_) std::rethrow_exception(raised_);
  if (failure_) std::rethrow_exception(failure_);
}

void Errand::do_work(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    failure_ = std::current_exception();
  }
  const std::lock_guard held(mutex_);
  done_ = true;
  changed_.notify_all();
}

void Errand::attend() {
  std::unique_lock held(mutex_);
  while (!done_) {
    changed_.wait_for(held, kBetweenLooks, [&] { return done_ || told_ != nullptr; });
    if (done_) return;
    const std::function<void()>* told = told_;
    held.unlock();
    if (told != nullptr) guarded(*told);
    guarded([] {
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
    });
    held.lock();
    if (told == nullptr) continue;
    told_ = nullptr;
    changed_.notify_all();
  }
}

void Errand::guarded(const std::function<void()>& call) {
  const nb::gil_scoped_acquire locked;
  try {
    call();
  } catch (...) {
    if (!raised_) raised_ = std::current_exception();
    stop_.store(true);
  }
}

void Errand::tell(const std::function<void()>& call) {
  const std::lock_guard telling(telling_);
  std::unique_lock held(mutex_);
  told_ = &call;
  changed_.notify_all();
  changed_.wait(held, [&] { return told_ == nullptr; });
}

}  // namespace longstride::python
