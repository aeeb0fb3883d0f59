// A process may end while threads of Python are in here: daemon threads, which nobody waits for. Before Python takes
// itself apart, long work is asked to stop, and every thread is let out or held.
#pragma once

#include <atomic>

namespace longstride::python {

// While this lives, the end of the process sets the flag, and waits for the thread that made this. Throws unavailable
// where the end has come already, but for the thread that ends the process.
class StopsAtTheEnd {
 public:
  explicit StopsAtTheEnd(std::atomic<bool>& stop);
  ~StopsAtTheEnd();
  StopsAtTheEnd(const StopsAtTheEnd&) = delete;
  StopsAtTheEnd& operator=(const StopsAtTheEnd&) = delete;

 private:
  std::atomic<bool>* stop_;
};

}  // namespace longstride::python
