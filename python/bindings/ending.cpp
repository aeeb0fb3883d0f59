// The end of the process, for threads of Python that are in here then (ending.h).
#include "ending.h"

#include <unistd.h>

#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "bindings.h"
#include "longstride/error.h"

namespace longstride::python {
namespace {

// Threads that are in here without Python's lock, and whether Python is about to take itself apart.
std::atomic<int> unlocked{0};
std::atomic<bool> ending{false};
std::atomic<std::thread::id> ender;  // the thread that does it

bool too_late() { return ending.load() && std::this_thread::get_id() != ender.load(); }

struct Stops {
  std::mutex mutex;
  std::set<std::atomic<bool>*> flags;
};
Stops& stops() {
  static auto* const all = new Stops;  // never destroyed: a thread may still look at it
  return *all;
}

void end() {
  ender.store(std::this_thread::get_id());
  ending.store(true);
  {
    const std::lock_guard held(stops().mutex);
    for (std::atomic<bool>* stop : stops().flags) stop->store(true);
  }
  PyThreadState* const state = PyEval_SaveThread();
  while (unlocked.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  PyEval_RestoreThread(state);
}

}  // namespace

Unlocked::Unlocked() {
  unlocked.fetch_add(1);
  state_ = PyEval_SaveThread();
}

// Where a thread asks for Python's lock after the end, Python before 3.14 ends it by unwinding its stack, which no
// destructor survives: the process would abort.
Unlocked::~Unlocked() {
  if (too_late()) {
    unlocked.fetch_sub(1);
    while (true) pause();  // until the process is gone
  }
  PyEval_RestoreThread(state_);
  unlocked.fetch_sub(1);
}

StopsAtTheEnd::StopsAtTheEnd(std::atomic<bool>& stop) : stop_(&stop) {
  const std::lock_guard held(stops().mutex);
  if (too_late()) throw Error(ErrorKind::unavailable, "longstride: the process ends, and nothing begins any more");
  stops().flags.insert(stop_);
}
StopsAtTheEnd::~StopsAtTheEnd() {
  const std::lock_guard held(stops().mutex);
  stops().flags.erase(stop_);
}

void bind_ending(nb::module_&) {
  nb::set_leak_warnings(false);  // of what a daemon thread holds until the process is gone
  const pid_t here = getpid();  // threads are not forked: in a forked process there are none to wait for
  nb::module_::import_("atexit").attr("register")(nb::cpp_function([here] {
    if (getpid() == here) end();
  }));
}

}  // namespace longstride::python
