// What this machine offers, and what the library uses of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct MachineInfo {
  std::string processor;
  std::vector<std::string> instruction_sets;  // those that the kernels can use here, best last
  std::string instruction_set;                // the one in use (LONGSTRIDE_ISA forces one)
  int threads = 1;                            // threads in use
  std::int64_t memory_bytes = 0;
  std::int64_t memory_available_bytes = 0;
  bool bfloat16 = false;               // products of bfloat16 run natively
  std::vector<std::string> libraries;  // "oneDNN 2.6.3", ...
};

MachineInfo machine_info();

// A card of NVIDIA's that this process is shown: Device(Device::cuda, k) is element k of cards(), of which there are
// none where this build has no CUDA, or there is no driver.
struct CardInfo {
  std::string name;
  std::string capability;  // "9.0"
  std::int64_t memory_bytes = 0;
  std::string why_not;  // this build cannot use it; empty where it can
  std::string id;       // "GPU-8f3c...": the same whatever its number, in every process that is shown it
};
std::vector<CardInfo> cards();

// What of CUDA this build was made with, and the cards with their memory, or why there are none: some words.
std::string card_words();

// Threads that every operation of this process uses from now on, whichever thread calls it. 0, as before the first
// call: OMP_NUM_THREADS, or where that is not set every core that this process may run on, or as many as its control
// groups let it use the time of. For programs to call, not while anything computes; nothing else in the library does.
// Errors: invalid_argument where it is not in [0, kMostThreads]; exhausted where the system does not let the process
// have so many.
void set_threads(int threads);
inline constexpr int kMostThreads = 4096;  // also of OMP_NUM_THREADS: more count as so many

// From now on this process shares the cores with other programs that want them: threads that wait for one another then
// sleep soon, where they otherwise spin, and loops take no more threads than the system runs at a time. Judged ten
// times a second by how long the process's threads were ready and had no core. For programs to call, once, where
// neither OMP_WAIT_POLICY nor GOMP_SPINCOUNT says how to wait. It starts a thread, which has the caller's signal mask.
void share_cores();

// Measured now: oneDNN's best product on all threads, multiply-adds (not flops) a second. Takes about 0.2 s. Where
// bfloat16 products do not run natively they are float32's: operands are widened there.
double measure_peak_multiply_adds(bool bfloat16);

// What the processor gives at best with the instruction set and the threads in use, measured now in about two seconds.
// Multiply-adds (not flops) a second are of vectors in registers, so that memory has no part in them.
struct ProcessorRates {
  double clock_hz = 0;           // of one thread
  int lanes = 0;                 // float32 of a vector
  double one_thread = 0;         // float32 multiply-adds of one, in seconds of its own on a core
  double float32 = 0;            // of all threads, at best
  double float32_sustained = 0;  // the same over a quarter of a second: less where others use the cores
  double bfloat16 = 0;           // of all threads, by the instruction for it; 0: there is none
  bool bfloat16_tiles = false;   // there are tile units (AMX) for it besides, which are not measured
  double copy = 0;               // bytes read or written a second while all threads copy memory
  std::int64_t copied_bytes = 0;
};
ProcessorRates measure_processor();

// Resident memory of this process: now, and its largest so far.
std::int64_t resident_bytes();
std::int64_t peak_resident_bytes();

}  // namespace longstride
#pragma GCC visibility pop
