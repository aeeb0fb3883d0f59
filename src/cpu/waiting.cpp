// This watches how long threads are ready without a core, and lets OpenMP's threads wait, and be as many, accordingly.
#include "cpu/waiting.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <system_error>

#include "cpu/threads.h"
#include "io/system.h"
#include "longstride/device.h"

namespace longstride {

using namespace cpu;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{100};
// Threads that lack a core, in the mean: from where on others are said to want the cores, and from where on a thread
// less is worth trying. In between are moments, and threads of our own that carry or write something.
constexpr double kContended = 0.1, kWorthAThread = 0.3;

std::atomic<bool> short_waits{false};
std::atomic<int> spared{0};

// Nanoseconds of each thread of this process, by its number. Empty where the kernel does not say.
std::map<std::string, std::int64_t> delays() {
  std::map<std::string, std::int64_t> found;
  std::error_code ignored;  // a thread that ends meanwhile is none
  for (std::filesystem::directory_iterator at("/proc/self/task", ignored), end; at != end && !ignored;
       at.increment(ignored)) {
    const std::int64_t delay = delay_in(kernel_text(at->path() / "schedstat"));
    if (delay >= 0) found[at->path().filename()] = delay;
  }
  return found;
}

// OpenMP ends the process where a team cannot be made.
bool can_shorten_waits() { return can_start(omp_get_num_procs() + 1); }

// For ever, or until the system denies what it needs.
void watch_on() {
  CoreSharing sharing;
  std::optional<ShortWaits> waits;
  bool asked = false;  // whether waits were shortened, or could not be, since others last began to want the cores
  auto before = delays();
  for (Clock::time_point then = Clock::now(); !before.empty();) {
    std::this_thread::sleep_for(kBetweenLooks);
    auto now = delays();
    const Clock::time_point time = Clock::now();
    std::int64_t delay = 0;
    for (const auto& [thread, ns] : now)
      if (const auto known = before.find(thread); known != before.end()) delay += ns - known->second;
    sharing.look(static_cast<double>(delay) / std::chrono::nanoseconds(time - then).count(), threads());
    before = std::move(now), then = time;
    if (sharing.short_waits() && !asked && can_shorten_waits()) waits.emplace();
    if (!sharing.short_waits()) waits.reset();
    asked = sharing.short_waits();
    short_waits = sharing.short_waits();
    spared = sharing.spared();
  }
}

// An aid, whose end is none of the program's.
void watch() {
  try {
    watch_on();
  } catch (const std::exception&) {
    short_waits = false;
    spared = 0;
  }
}

}  // namespace

std::int64_t cpu::delay_in(const std::string& schedstat) {
  std::istringstream words(schedstat);
  std::int64_t ran = 0, delay = 0;
  return words >> ran >> delay ? delay : -1;
}

void CoreSharing::look(double lacked, int threads) {
  const bool wanted = lacked > kContended;
  if (wanted != wanted_) wanted_ = wanted, looks_ = 0, lacked_ = 0;
  ++looks_, lacked_ += lacked;
  if (looks_ < (wanted ? kContendedLooks : spared_ > 0 ? patience_ : kFreeLooks)) return;
  if (wanted) {
    const double mean = lacked_ / looks_;
    const int more = mean < kWorthAThread ? 0 : std::max(1, static_cast<int>(std::lround(mean)));
    spared_ = std::min(spared_ + more, threads - 1);
    patience_ = on_trial_ ? std::min(2 * patience_, kMostPatience) : kFreeLooks;
    short_waits_ = true, on_trial_ = false;
  } else if (spared_ > 0) {
    spared_ = 0, on_trial_ = true;
  } else {
    short_waits_ = false, on_trial_ = false;
  }
  looks_ = 0, lacked_ = 0;
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

bool cpu::waits_are_short() { return short_waits; }

int cpu::team() { return std::max(1, threads() - spared.load(std::memory_order_relaxed)); }

void share_cores() {
  static std::atomic<bool> begun{false};
  if (!begun.exchange(true)) std::thread(watch).detach();
}

}  // namespace longstride
