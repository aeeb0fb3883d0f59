// How threads wait for one another at the ends of parallel loops: by spinning while the cores are theirs, and by
// sleeping soon where other programs want them. A thread that spins takes the core from the very thread that it waits
// for.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace longstride::cpu {

// Nanoseconds that a thread was ready and had no core, of the text of its schedstat in /proc; -1: it does not say.
std::int64_t delay_in(const std::string& schedstat);

// While one lives: GNU OpenMP spins 100 times instead of 300,000 before a thread sleeps. It does so where it has more
// threads than the process has cores (libgomp's manual, GOMP_SPINCOUNT), and here are some more, which sleep.
class ShortWaits {
 public:
  ShortWaits();
  ~ShortWaits();
  ShortWaits(const ShortWaits&) = delete;
  ShortWaits& operator=(const ShortWaits&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false, over_ = false;
  std::thread holder_;  // whose pool of threads they are
};

}  // namespace longstride::cpu
