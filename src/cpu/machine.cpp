// longstride/device.h: what the machine is, how many threads are used, what its best product reaches.
#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>
#include <string>

#include "cpu/isa.h"
#include "cpu/onednn.h"
#include "cpu/threads.h"
#include "longstride/device.h"

namespace longstride {

namespace {

int& chosen_threads() {
  static int count = omp_get_max_threads();
  return count;
}

// The value of "key: value" in a file of /proc; empty where there is none.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t colon = line.find(':');
    const std::size_t value = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (value != std::string::npos) return line.substr(value);
  }
  return "";
}

std::int64_t proc_kilobytes(const char* file, const std::string& key) {
  std::int64_t kilobytes = 0;
  std::istringstream(proc_value(file, key)) >> kilobytes;
  return kilobytes * 1024;
}

// Seconds of the best of several products of square matrices, all threads, weights in oneDNN's own layout.
double best_product_s(bool bfloat16, std::int64_t size) {
  using dnnl::memory;
  const auto type = bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
  const dnnl::engine& engine = onednn_engine();
  dnnl::stream stream(engine);
  const memory::desc plain({size, size}, type, memory::format_tag::ab), any({size, size}, type, memory::format_tag::any);
  const dnnl::matmul::primitive_desc described({plain, any, plain}, engine);
  dnnl::matmul product(described);
  memory a(described.src_desc(), engine), b(described.weights_desc(), engine), c(described.dst_desc(), engine);
  for (const memory& m : {a, b}) std::fill_n(static_cast<char*>(m.get_data_handle()), m.get_desc().get_size(), char{0});
  double best = 1e9;
  const auto begun = std::chrono::steady_clock::now();
  for (int repeat = 0; repeat < 50; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    product.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
    const auto end = std::chrono::steady_clock::now();
    best = std::min(best, std::chrono::duration<double>(end - start).count());
    if (repeat >= 3 && end - begun > std::chrono::milliseconds(200)) break;
  }
  return best;
}

}  // namespace

int threads() { return chosen_threads(); }

void set_threads(int count) {
  chosen_threads() = count > 0 ? count : omp_get_num_procs();
  omp_set_num_threads(chosen_threads());
}

MachineInfo machine_info() {
  MachineInfo info;
  info.processor = proc_value("/proc/cpuinfo", "model name");
  for (const Isa usable : usable_isas()) info.instruction_sets.emplace_back(to_string(usable));
  info.instruction_set = to_string(isa());
  info.threads = threads();
  info.memory_bytes = proc_kilobytes("/proc/meminfo", "MemTotal");
  info.memory_available_bytes = proc_kilobytes("/proc/meminfo", "MemAvailable");
  info.bfloat16 = isa() == Isa::avx512_bf16;
  const dnnl_version_t* version = dnnl_version();
  info.libraries.push_back(fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch));
  return info;
}

double measure_peak_multiply_adds(bool bfloat16) {
  constexpr std::int64_t kSize = 1024;  // fits the caches of one core's share, large enough for the best rate
  const auto products = static_cast<double>(kSize) * kSize * kSize;
  return products / best_product_s(bfloat16 && isa() >= Isa::avx512, kSize);
}

std::int64_t resident_bytes() {
  std::int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t peak_resident_bytes() { return proc_kilobytes("/proc/self/status", "VmHWM"); }

}  // namespace longstride
