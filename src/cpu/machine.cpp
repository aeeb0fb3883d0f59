// What this machine offers (longstride/device.h): from cpuid, /proc and a measurement.
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

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

std::atomic<int>& threads_in_use() {
  static std::atomic<int> value(omp_get_max_threads());
  return value;
}

}  // namespace

int cpu::threads() { return threads_in_use().load(std::memory_order_relaxed); }

void set_threads(int threads) {
  if (threads < 0) throw_invalid("set_threads: needs at least 0, got " + std::to_string(threads));
  threads_in_use() = threads == 0 ? omp_get_num_procs() : threads;
  omp_set_num_threads(threads_in_use());  // for what asks OpenMP itself, on this thread
}

MachineInfo machine_info() {
  MachineInfo info;
  info.processor = entry("/proc/cpuinfo", "model name");
  for (const Isa one : usable_isas()) info.instruction_sets.emplace_back(to_string(one));
  info.instruction_set = to_string(isa());
  info.threads = threads();
  info.memory_bytes = kilobytes("/proc/meminfo", "MemTotal");
  const std::int64_t free = kilobytes("/proc/meminfo", "MemAvailable");
  info.memory_available_bytes = within_limits(free > 0 ? free : sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE));
  info.bfloat16 = native_bfloat16_products();
  const dnnl_version_t* version = dnnl_version();
  info.libraries = {"oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
                        std::to_string(version->patch),
                    "OpenMP " + std::to_string(_OPENMP)};
  return info;
}

double measure_peak_multiply_adds(bool bfloat16) {
  constexpr std::int64_t kSize = 2048;
  constexpr double kLeast_s = 0.2;
  const DType type = bfloat16 && native_bfloat16_products() ? DType::bfloat16 : DType::float32;
  Products products;
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  const auto zeros = [&] {
    void* data = workspace.take(kSize * kSize * size_of(type));
    std::fill_n(static_cast<char*>(data), kSize * kSize * size_of(type), char{0});
    return matrix(data, type, kSize, kSize);
  };
  const Matrix a = zeros(), b = zeros(), c = zeros();
  const RowProduct product(products, b, true, false, kSize, kSize, type, kSize);
  void* scratch = workspace.take(product.threads_bytes());
  const void* packed = product.pack(b, workspace);
  using Clock = std::chrono::steady_clock;
  check_ran("measure_peak_multiply_adds", product.run(packed, a, c, nullptr, scratch, {}));
  const auto start = Clock::now();
  double best_s = 0, total_s = 0;
  while (total_s < kLeast_s) {
    const auto before = Clock::now();
    check_ran("measure_peak_multiply_adds", product.run(packed, a, c, nullptr, scratch, {}));
    const auto after = Clock::now();
    const double seconds = std::chrono::duration<double>(after - before).count();
    best_s = best_s == 0 ? seconds : std::min(best_s, seconds);
    total_s = std::chrono::duration<double>(after - start).count();
  }
  return static_cast<double>(kSize) * kSize * kSize / best_s;
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t peak_resident_bytes() { return kilobytes("/proc/self/status", "VmHWM"); }

}  // namespace longstride
