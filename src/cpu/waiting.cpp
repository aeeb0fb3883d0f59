// This watches how long a thread is ready without a core, and lets OpenMP's threads wait accordingly.
#include "cpu/waiting.h"

#include <omp.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "longstride/device.h"

namespace longstride {

using namespace cpu;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{100};
// Shares of the time between two looks without a core: where it was more for so many looks in a row others want the
// cores, not just for a moment; where it was less for so many they want them no longer.
constexpr double kContended = 0.05, kFree = 0.01;
constexpr int kContendedLooks = 3, kFreeLooks = 10;

std::atomic<bool> short_waits{false};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Of the thread whose schedstat this is, for ever.
void watch(const std::string& schedstat) {
  std::optional<ShortWaits> waits;
  int contended_looks = 0, free_looks = 0;
  std::int64_t before = delay_in(text_of(schedstat));
  for (Clock::time_point then = Clock::now(); before >= 0;) {
    std::this_thread::sleep_for(kBetweenLooks);
    const std::int64_t delay = delay_in(text_of(schedstat));
    const Clock::time_point now = Clock::now();
    const double share = static_cast<double>(delay - before) / std::chrono::nanoseconds(now - then).count();
    before = delay, then = now;
    contended_looks = share > kContended ? contended_looks + 1 : 0;
    free_looks = share < kFree ? free_looks + 1 : 0;
    if (contended_looks >= kContendedLooks && !waits) waits.emplace();
    if (free_looks >= kFreeLooks) waits.reset();
    short_waits = waits.has_value();
  }
}

}  // namespace

std::int64_t cpu::delay_in(const std::string& schedstat) {
  std::istringstream words(schedstat);
  std::int64_t ran = 0, delay = 0;
  return words >> ran >> delay ? delay : -1;
}

ShortWaits::ShortWaits()
    : holder_([this] {
        std::atomic<int> there{0};
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
        there.fetch_add(1, std::memory_order_relaxed);  // a region of nothing would be none
        std::unique_lock<std::mutex> lock(mutex_);
        begun_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return over_; });
      }) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return begun_; });
}

ShortWaits::~ShortWaits() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  holder_.join();  // its threads end with it
}

void share_cores() {
  static std::atomic<bool> begun{false};
  if (begun.exchange(true)) return;
  std::thread(watch, "/proc/self/task/" + std::to_string(::gettid()) + "/schedstat").detach();
}

bool waits_are_short() { return short_waits; }

}  // namespace longstride
