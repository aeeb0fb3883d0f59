// Fibers: bodies with a stack of their own that take turns on one thread. The interpreter of kernels runs the threads
// of a block as fibers, and a seed decides who goes on at each switch: what comes out must not depend on it. In some
// runs anyone may be next; in others warps have an order, and one runs ahead of the rest as far as these let it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace longstride::cuda {

class Fibers {
 public:
  // ranked: every run is one in which they have an order.
  explicit Fibers(std::uint64_t seed, bool ranked = false);
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // Calls body(0) .. body(count - 1), each as a fiber, to the end of all. What a body throws ends the run: the others
  // are unwound from where they stand, and it leaves run().
  void run(int count, const std::function<void(int)>& body);

  // These are called within a body.
  // Others may go on first.
  static void yield();
  // Others go on until `ready`, which is asked between switches. Throws std::logic_error ("deadlock: ...") where all
  // that are left wait.
  static void wait_until(const std::function<bool()>& ready);
  // The next number of the run's sequence.
  static std::uint64_t random();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longstride::cuda
