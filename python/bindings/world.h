// This process among those that a launcher started, as Python holds it, and the calls that all of them make together.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>

#include "bindings.h"
#include "errand.h"
#include "longstride/error.h"
#include "longstride/processes.h"

namespace longstride::python {

// Where it is alone, or has left, there is no world.
struct Joined {
  std::shared_ptr<World> world;
  int rank = 0, size = 1;
  bool left = false;
  std::atomic<bool> busy{false};
  const pid_t maker = getpid();
};

struct WorldHandle {
  std::shared_ptr<Joined> joined;
};

// One call at a time: processes exchange bytes in the order of their calls.
class InWorld {
 public:
  explicit InWorld(const WorldHandle* handle) : joined_(handle == nullptr ? nullptr : handle->joined) {
    if (!joined_) return;
    if (joined_->left) throw_invalid("longstride: the world was left; join it once, for all that is done together");
    if (joined_->busy.exchange(true)) {
      joined_ = nullptr;
      throw_invalid("longstride: another call is at work in the world; calls follow one another there");
    }
  }
  ~InWorld() {
    if (joined_) joined_->busy.store(false);
  }
  InWorld(const InWorld&) = delete;
  InWorld& operator=(const InWorld&) = delete;

  World* world() const { return joined_ ? joined_->world.get() : nullptr; }

  // What the work throws ends all processes: they would wait for this one.
  template <class Work>
  void run(Errand& errand, Work&& work) const {
    errand.run([&] {
      try {
        work();
      } catch (const std::exception& error) {
        if (world() != nullptr) end_all(*world(), error.what(), 1);
        throw;
      }
    });
  }

 private:
  std::shared_ptr<Joined> joined_;
};

}  // namespace longstride::python
