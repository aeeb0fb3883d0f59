// What tests of Hopper's kernels have in common: cases of attention, and blocks that make faults.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/hopper/async_unit.h"
#include "cuda/host/interpreter.h"
#include "cuda/misuse.h"
#include "cuda/run_by.h"

namespace longstride::cuda {

// Blocks whose unit does something wrong.
enum class Fault {
  none,
  waits_for_nothing,
  waits_for_wrong_phase,
  waits_for_no_products,
  begins_no_products,
  frees_nothing,
  frees_early,
  is_late,  // the second consumer, which is no fault
  is_late_and_ends_apart
};
struct FaultyBlock : host::HostBlock {
  Fault fault;
  FaultyBlock(const host::HostBlock& block, Fault what) : HostBlock(block), fault(what) {}
};
struct FaultyUnit : AsyncUnit {
  Fault fault;
  bool late;
  explicit FaultyUnit(FaultyBlock& block)
      : AsyncUnit(block), fault(block.fault), late(fault >= Fault::is_late && block.thread() >= 2 * kWarpgroup) {}
  void begin(Barrier& barrier, int arrivals) {
    AsyncUnit::begin(barrier, fault == Fault::frees_early && arrivals > 1 ? arrivals / 2 : arrivals);
  }
  void arrive(Barrier& barrier) {
    if (fault != Fault::frees_nothing) AsyncUnit::arrive(barrier);
  }
  void wait(Barrier& barrier, int parity) {
    if (fault == Fault::waits_for_nothing) return;
    AsyncUnit::wait(barrier, fault == Fault::waits_for_wrong_phase ? parity ^ 1 : parity);
  }
  void begin_products() {
    if (fault != Fault::begins_no_products) AsyncUnit::begin_products();
  }
  template <int kLeft, int kTiles>
  void wait_for_products(float (&held)[kTiles][4]) {
    for (int time = 0; late && time < 100; ++time) Fibers::yield();
    if (fault != Fault::waits_for_no_products) AsyncUnit::wait_for_products<kLeft>(held);
  }
  void sync(int number, int threads) {
    if (fault != Fault::is_late_and_ends_apart || threads == kWarpgroup) AsyncUnit::sync(number, threads);
  }
};
inline FaultyUnit async_unit(FaultyBlock& block) { return FaultyUnit(block); }

// Runs a kernel in so many blocks that make a fault; the words of the error that it gives, or none.
template <class Kernel>
std::string error_with(Fault fault, const Kernel& kernel, std::int64_t blocks) {
  return error_of([&] {
    host::run_blocks({blocks}, Kernel::kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) {
      FaultyBlock changed(block, fault);
      kernel(changed);
    });
  });
}

// Numbers that can be compared: NaN is a number that nobody computes.
inline void append_comparable(std::vector<double>& to, const std::vector<double>& from) {
  for (const double x : from) to.push_back(std::isnan(x) ? 1e9 : x);
}

struct HopperCase {
  std::vector<std::string> heads;
  std::int64_t B, T, H, Dq, Dv;
};

// Every kind of stream, alone and after others; blocks of one consumer's queries and of two; one tile and more than
// there are stages.
inline const std::vector<HopperCase>& hopper_cases() {
  static const std::vector<HopperCase> kCases = {
      {{"dense"}, 1, 64, 1, 64, 64},
      {{"dense", "window(100)"}, 2, 330, 2, 128, 128},
      {{"dense"}, 1, 800, 1, 64, 64},
      {{"strided(4)"}, 1, 300, 1, 64, 128},
      {{"fixed(32,8)"}, 1, 130, 1, 32, 40},
      {{"dense"}, 1, 140, 2, 80, 64},
      {{"column(3)", "row(50)", "previous_row(50)", "prefix(70)"}, 1, 260, 4, 64, 64},
      {{"summary(16,4,1)", "summary(100,40)", "digits(4,1)"}, 1, 290, 3, 64, 64},
      {{"fixed(64,16)", "strided(32)"}, 1, 400, 2, 128, 128},
      {{"column(2) | column(3)", "previous_row(20) | column(2)", "row(20) | column(3) | prefix(30) | summary(16,2)"},
       1,
       270,
       3,
       64,
       64},
  };
  return kCases;
}

}  // namespace longstride::cuda
