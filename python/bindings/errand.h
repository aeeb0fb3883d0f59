// Long calls: the work is done on a thread of its own, and the caller's thread meanwhile answers Ctrl-C and runs what
// the work wants to tell Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>

#include "bindings.h"

namespace longstride::python {

class Errand {
 public:
  Errand() : stop_(own_) {}
  explicit Errand(std::atomic<bool>& stop) : stop_(stop) {}  // for work that looks at that flag

  // Called with Python's lock, which is free while the work goes on. Returns when the work has ended; throws what the
  // work threw. Where Python raised meanwhile, in a handler of a signal or in what was told, `stop` is set, the work
  // ends as it does then, and what was raised is thrown.
  void run(const std::function<void()>& work);

  // For the work, on any of its threads: runs `call` on the caller's thread, with Python's lock, and waits for it.
  void tell(const std::function<void()>& call);

  const std::atomic<bool>* stop() const { return &stop_; }
  void ask_to_stop() { stop_.store(true); }

 private:
  void do_work(const std::function<void()>& work);
  void attend();
  void guarded(const std::function<void()>& call);

  std::atomic<bool> own_{false};
  std::atomic<bool>& stop_;
  std::mutex telling_;  // one thread of the work at a time
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* told_ = nullptr;
  bool done_ = false;
  std::exception_ptr failure_;  // of the work
  std::exception_ptr raised_;   // on the caller's thread; the first one
};

}  // namespace longstride::python
