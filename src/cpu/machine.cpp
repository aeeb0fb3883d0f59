// What this machine offers (longstride/device.h): from cpuid, /proc and a measurement.
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <latch>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "cpu/backend.h"
#include "cpu/groups.h"
#include "cpu/isa.h"
#include "cpu/memory.h"
#include "cpu/product.h"
#include "cpu/row_product.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"
#include "longstride/device.h"
#include "longstride/error.h"

namespace longstride {

using namespace cpu;

namespace {

// The text after "key :" in a file of such lines, "" where there is none.
std::string entry(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;
    const std::size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return "";
}

std::int64_t kilobytes(const char* file, const std::string& key) {  // "  1234 kB"
  const std::string text = entry(file, key);
  return text.empty() ? 0 : std::stoll(text) * 1024;
}

// A product of two square matrices as the network's are computed, weights packed; it ran once before it is timed.
class TimedProduct {
 public:
  TimedProduct(DType type, std::int64_t size)
      : size_(size),
        scope_(workspace_),
        a_(zeros(type)),
        b_(zeros(type)),
        c_(zeros(type)),
        product_(products_, b_, true, false, size, size, type, size),
        scratch_(workspace_.take(product_.threads_bytes())),
        packed_(product_.pack(b_, workspace_)) {
    run_s();
  }
  double multiply_adds() const { return static_cast<double>(size_) * static_cast<double>(size_ * size_); }
  double run_s() {
    using Clock = std::chrono::steady_clock;
    const auto before = Clock::now();
    check_ran("the timed product", product_.run(packed_, a_, c_, nullptr, scratch_, {}));
    return std::chrono::duration<double>(Clock::now() - before).count();
  }

 private:
  Matrix zeros(DType type) {
    const std::int64_t bytes = size_ * size_ * size_of(type);
    void* data = workspace_.take(bytes);
    std::fill_n(static_cast<char*>(data), bytes, char{0});
    return matrix(data, type, size_, size_);
  }

  std::int64_t size_;
  Products products_;
  Workspace workspace_;
  Workspace::Scope scope_;
  Matrix a_, b_, c_;
  RowProduct product_;
  void* scratch_;
  const void* packed_;
};

// The fastest of several runs. It is sure once others came near it: a single one that was slowed down less than the
// rest says little.
class Fastest {
 public:
  void add(double s) { runs_s_.insert(std::upper_bound(runs_s_.begin(), runs_s_.end(), s), s); }
  double best_s() const { return runs_s_.front(); }
  bool is_sure() const {
    constexpr std::size_t kNear = 3;
    constexpr double kHowNear = 1.05;
    return runs_s_.size() >= kNear && runs_s_[kNear - 1] <= kHowNear * best_s();
  }

 private:
  std::vector<double> runs_s_;  // ascending
};

// Before anything is set: what OpenMP was told, or a thread a core.
int threads_at_start() {
  const auto started = [] {
    return omp_get_max_threads() != omp_get_num_procs() ? omp_get_max_threads() : usable_cores();
  };
  static const int threads = std::min(started(), kMostThreads);
  return threads;
}

// OpenMP ends the process where it gets no threads, and says little.
void require_startable(int threads) {
  static std::atomic<int> known{1};
  if (threads <= known) return;
  if (!cpu::can_start(threads - 1))
    throw Error(ErrorKind::exhausted,
                fmt::format("the system does not let this process have {} threads (limits of processes, ulimit -u, of "
                            "memory, ulimit -v, or of its control group); set fewer",
                            threads));
  known = threads;
}

std::atomic<int>& threads_in_use() {
  static std::atomic<int> value(threads_at_start());
  return value;
}

}  // namespace

std::int64_t cpu::available_memory() {
  const std::int64_t free = kilobytes("/proc/meminfo", "MemAvailable");
  return within_limits(free > 0 ? free : sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE));
}

int cpu::threads() { return threads_in_use().load(std::memory_order_relaxed); }

bool cpu::can_start(int more) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // none of them is to take a signal
  std::latch over(1);
  std::vector<std::thread> started;
  bool all_started = true;
  try {
    started.reserve(static_cast<std::size_t>(more));
    for (int thread = 0; thread < more; ++thread) started.emplace_back([&over] { over.wait(); });
  } catch (const std::exception&) {  // the system's word, or no memory
    all_started = false;
  }
  over.count_down();
  for (std::thread& thread : started) thread.join();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return all_started;
}

void set_threads(int threads) {
  if (threads < 0 || threads > kMostThreads)
    throw_invalid(fmt::format("set_threads: needs a whole number in [0, {}], got {}", kMostThreads, threads));
  const int wanted = threads == 0 ? threads_at_start() : threads;
  require_startable(wanted);
  threads_in_use() = wanted;
  omp_set_num_threads(threads_in_use());  // for what asks OpenMP itself, on this thread
}

MachineInfo machine_info() {
  MachineInfo info;
  info.processor = entry("/proc/cpuinfo", "model name");
  for (const Isa one : usable_isas()) info.instruction_sets.emplace_back(to_string(one));
  info.instruction_set = to_string(isa());
  info.threads = threads();
  info.memory_bytes = kilobytes("/proc/meminfo", "MemTotal");
  info.memory_available_bytes = cpu::available_memory();
  info.bfloat16 = native_bfloat16_products();
  const dnnl_version_t* version = dnnl_version();
  info.libraries = {"oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
                        std::to_string(version->patch),
                    "OpenMP " + std::to_string(_OPENMP)};
  return info;
}

double measure_peak_multiply_adds(bool bfloat16) {
  constexpr double kLeast_s = 0.2;
  TimedProduct product(bfloat16 && native_bfloat16_products() ? DType::bfloat16 : DType::float32, 2048);
  double best_s = product.run_s();
  for (double total_s = best_s; total_s < kLeast_s;) {
    const double s = product.run_s();
    best_s = std::min(best_s, s);
    total_s += s;
  }
  return product.multiply_adds() / best_s;
}

double cpu::CpuBackend::bfloat16_over_float32() const {
  static const double ratio = [] {
    if (!native_bfloat16_products()) return 0.0;
    constexpr std::int64_t kSize = 512;  // short, so that some are not interrupted on a busy machine
    constexpr int kRounds = 12;          // 0.03 s together on two idle cores
    constexpr double kMost_s = 1;
    TimedProduct narrow(DType::bfloat16, kSize), wide(DType::float32, kSize);
    Fastest of_narrow, of_wide;
    double total_s = 0;
    for (int round = 0; round < kRounds || (total_s < kMost_s && !(of_narrow.is_sure() && of_wide.is_sure()));
         ++round) {
      const double narrow_s = narrow.run_s(), wide_s = wide.run_s();  // in turn: what else runs meets both
      of_narrow.add(narrow_s);
      of_wide.add(wide_s);
      total_s += narrow_s + wide_s;
    }
    return of_wide.best_s() / of_narrow.best_s();
  }();
  return ratio;
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t peak_resident_bytes() { return kilobytes("/proc/self/status", "VmHWM"); }

}  // namespace longstride
