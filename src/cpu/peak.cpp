// What a processor gives at best (measure_processor of longstride/device.h): its clock, its units, its memory.
#include <cpuid.h>
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/peak_kernels.h"
#include "cpu/product.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"
#include "longstride/device.h"

namespace longstride {

using namespace cpu;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// Cycles a second, from 64-bit multiplications of which each needs the one before. Their latency is 3 cycles on every
// core of Intel since Nehalem and of AMD since Zen (Fog, instruction tables).
double measure_clock() {
  constexpr std::int64_t kRounds = 100'000, kInRound = 8;
  double best_s = 0;
  for (int n = 0; n < 10; ++n) {
    std::uint64_t x = 3;
    const Clock::time_point before = Clock::now();
    for (std::int64_t r = 0; r < kRounds; ++r) {
      asm volatile(
          "imulq %0, %0\n\timulq %0, %0\n\timulq %0, %0\n\timulq %0, %0\n\t"
          "imulq %0, %0\n\timulq %0, %0\n\timulq %0, %0\n\timulq %0, %0"
          : "+r"(x)
          :
          : "cc");
    }
    const double taken_s = seconds_since(before);
    best_s = best_s == 0 ? taken_s : std::min(best_s, taken_s);
  }
  return 3.0 * kRounds * kInRound / best_s;
}

// Multiply-adds a second of this thread while it has a core: seconds are those of its own, not the clock's.
double measure_one(float (*kernel)(std::int64_t), double adds) {
  constexpr std::int64_t kRounds = 5'000'000;
  const auto own_s = [] {
    timespec now = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  };
  kernel(kRounds / 10);  // the clock rises, and wide vectors wake
  const double before_s = own_s();
  const float ignored = kernel(kRounds);
  asm volatile("" : : "x"(ignored));  // the loop is not for nothing
  return static_cast<double>(kRounds) * adds / (own_s() - before_s);
}

struct Rate {
  double best = 0, mean = 0;  // multiply-adds a second: of the best of several short times, and of all of them
};

// adds: of a round. Threads begin each time together, and stop by the clock.
Rate measure_units(float (*kernel)(std::int64_t), double adds, int threads) {
  constexpr int kTimes = 12;
  constexpr double kTime_s = 0.02;
  constexpr std::int64_t kRounds = 20'000;  // well below a millisecond
  Rate rate;
  double all = 0, all_s = 0;
  for (int n = 0; n < kTimes; ++n) {
    std::int64_t rounds = 0;
    float ignored = 0;
    Clock::time_point begun;
#pragma omp parallel num_threads(threads) reduction(+ : rounds, ignored)
    {
#pragma omp barrier
#pragma omp master
      begun = Clock::now();
#pragma omp barrier
      while (seconds_since(begun) < kTime_s) {
        ignored += kernel(kRounds);
        rounds += kRounds;
      }
    }
    const double taken_s = seconds_since(begun), done = static_cast<double>(rounds) * adds;
    rate.best = std::max(rate.best, done / taken_s);
    all += done, all_s += taken_s;
    asm volatile("" : : "x"(ignored));  // the loops are not for nothing
  }
  rate.mean = all / all_s;
  return rate;
}

// Bytes a second that are read or written while memory that no cache holds is copied by all threads.
double measure_copy(std::int64_t bytes, int threads) {
  constexpr int kTimes = 5;
  void *from = allocate_aligned("cpu", bytes), *to = allocate_aligned("cpu", bytes);
  double best_s = 0;
  for (int n = 0; n <= kTimes; ++n) {  // the first makes the pages
    const Clock::time_point before = Clock::now();
#pragma omp parallel num_threads(threads)
    {
      const std::int64_t part = bytes / omp_get_num_threads(), begin = part * omp_get_thread_num();
      char *target = static_cast<char*>(to) + begin, *source = static_cast<char*>(from) + begin;
      if (n == 0) std::memset(source, 1, static_cast<std::size_t>(part));
      std::memcpy(target, source, static_cast<std::size_t>(part));
    }
    const double taken_s = seconds_since(before);
    if (n == 1 || (n > 1 && taken_s < best_s)) best_s = taken_s;
  }
  release_aligned(from), release_aligned(to);
  return 2 * static_cast<double>(bytes) / best_s;
}

// AMX with bfloat16: leaf 7, edx, bit 22 (Intel SDM, volume 2A, CPUID).
bool has_tiles() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1) != 0;
}

}  // namespace

ProcessorRates measure_processor() {
  constexpr std::int64_t kMostCopied = 512 << 20;
  const PeakKernels& kernels = peak_kernels();
  const int all = threads();
  ProcessorRates rates;
  rates.clock_hz = measure_clock();
  rates.lanes = kernels.lanes;
  const double adds = static_cast<double>(kernels.chains) * kernels.lanes;
  rates.one_thread = measure_one(kernels.fused, adds);
  const Rate float32 = measure_units(kernels.fused, adds, all);
  rates.float32 = float32.best;
  rates.float32_sustained = float32.mean;
  if (isa() == Isa::avx512_bf16) {
    rates.bfloat16 = measure_units(kernels.paired, 2 * adds, all).best;
    rates.bfloat16_tiles = has_tiles();
  }
  rates.copied_bytes = std::min(kMostCopied, machine_info().memory_available_bytes / 8);
  rates.copy = measure_copy(rates.copied_bytes, all);
  return rates;
}

}  // namespace longstride
