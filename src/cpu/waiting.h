// How threads get along with other programs that want the cores. At the end of a parallel loop all wait for the last:
// by spinning while the cores are theirs, and by sleeping soon where others want them, for a thread that spins takes
// the core from the very thread that it waits for. Where the system runs only some of the threads at a time, loops take
// no more than these (team() of cpu/threads.h).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace longstride::cpu {

// Nanoseconds that a thread was ready and had no core, of the text of its schedstat in /proc; -1: it does not say.
std::int64_t delay_in(const std::string& schedstat);

// What to do, decided ten times a second. Others want the cores where more than a tenth of a thread lacked one for
// three looks in a row; then waits are short, and loops take as many threads less as lacked a core. After ten looks at
// which none did all threads are tried again, later each time that this was too soon.
class CoreSharing {
 public:
  // lacked: how many of the process's threads were ready and had no core, in the mean since the last look; threads:
  // those that compute, spared ones too.
  void look(double lacked, int threads);
  bool short_waits() const { return short_waits_; }
  int spared() const { return spared_; }  // threads that loops do without

 private:
  static constexpr int kContendedLooks = 3, kFreeLooks = 10, kMostPatience = 160;

  bool wanted_ = false;  // others want the cores: so say the last looks_
  int looks_ = 0;
  double lacked_ = 0;  // the sum over these
  bool short_waits_ = false;
  int spared_ = 0;
  bool on_trial_ = false;  // all threads compute again, and it is not known yet whether they can
  int patience_ = kFreeLooks;
};

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

bool waits_are_short();  // now, after share_cores (longstride/device.h)

}  // namespace longstride::cpu
