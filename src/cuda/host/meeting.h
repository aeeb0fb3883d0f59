// Points at which fibers of the interpreter wait for one another: barriers of a block, and operations that the lanes
// of a warp do together.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>

#include "cuda/host/fibers.h"

namespace longstride::cuda {

// Of `count` fibers the last to come does what is to be done; then all go on.
class Meeting {
 public:
  explicit Meeting(int count) : count_(count) {}

  template <class Last>
  void meet(const Last& last) {
    if (++here_ == count_) {
      last();
      here_ = 0;
      ++phase_;
      return;
    }
    const std::uint64_t phase = phase_;
    Fibers::wait_until([this, phase] { return phase_ != phase; });
  }
  void meet() {
    meet([] {});
  }

 private:
  int count_, here_ = 0;
  std::uint64_t phase_ = 0;
};

inline constexpr int kWarpLanes = 32;

// What the lanes of a warp do together: each brings what it has, the last to come does it for all of them, and each
// takes its result from what it brought.
class WarpMeeting {
 public:
  // all(lanes): lanes[l] points to what lane l brought, which stays where it is until all have come.
  template <class Brought, class All>
  void together(int lane, Brought& brought, const All& all) {
    static constexpr char kWhich = 0;  // one a kind of operation
    if (here_ == 0) which_ = &kWhich;
    if (which_ != &kWhich) throw std::logic_error("lanes of one warp do different operations at a time");
    ++here_;
    brought_[static_cast<std::size_t>(lane)] = &brought;
    meeting_.meet([&] {
      std::array<Brought*, kWarpLanes> lanes;
      for (std::size_t l = 0; l < lanes.size(); ++l) lanes[l] = static_cast<Brought*>(brought_[l]);
      here_ = 0;
      all(lanes);
    });
  }

 private:
  Meeting meeting_{kWarpLanes};
  int here_ = 0;
  const void* which_ = nullptr;
  std::array<void*, kWarpLanes> brought_{};
};

}  // namespace longstride::cuda
