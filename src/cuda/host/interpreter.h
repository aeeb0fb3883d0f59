// Runs kernels on the host, to show that their text is right where there is no card. Threads of a block are fibers; who
// goes on after a meeting (sync, and what warps do together) is picked from a seed, and so is the order of blocks.
// Shared memory begins as NaN. A sync that is missing then gives NaN, or other bits under another seed; one that not
// all threads reach is a deadlock, which is an error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/grid.h"
#include "cuda/host/async_state.h"
#include "cuda/host/meeting.h"

namespace longstride::cuda::host {

static_assert(kWarp == kWarpLanes);

// The orders of all launches from now on follow from this and from how many launches came before.
void set_seed(std::uint64_t seed);
// While one of these lives warps have ranks in every block (cuda/host/fibers.h): what takes long, for tests that want
// it.
class RanksInEveryBlock {
 public:
  RanksInEveryBlock();
  ~RanksInEveryBlock();
  RanksInEveryBlock(const RanksInEveryBlock&) = delete;
  RanksInEveryBlock& operator=(const RanksInEveryBlock&) = delete;
};
// How many blocks so far had work done beside their threads (cuda/hopper/async_unit.h).
std::int64_t blocks_with_async_unit();

// What the threads of a block share.
struct BlockState {
  BlockState(int thread_count, std::size_t shared_bytes);
  void begin();  // the shared memory is NaN again
  void end();

  struct alignas(128) Line {
    std::byte bytes[128];
  };
  int threads;
  Meeting meeting;
  bool said = false, anyone = false;  // by sync_or: so far, and the last time
  std::vector<WarpMeeting> warps;
  std::vector<Line> shared;
  std::unique_ptr<AsyncState> async;  // of a block that asks for it
};

// One thread's view of its block: the functions of DeviceBlock (cuda/launch.h).
class HostBlock {
 public:
  HostBlock(BlockState& state, Index index, int thread) : state_(state), index_(index), thread_(thread) {}

  Index index() const { return index_; }
  int thread() const { return thread_; }
  int threads() const { return state_.threads; }
  int lane() const { return thread_ % kWarp; }
  int warp() const { return thread_ / kWarp; }
  template <class T>
  T* shared() const {
    return reinterpret_cast<T*>(state_.shared.data());
  }
  void sync() { state_.meeting.meet(); }
  bool sync_or(bool yes) {
    state_.said = state_.said || yes;
    state_.meeting.meet([this] {
      state_.anyone = state_.said;
      state_.said = false;
    });
    return state_.anyone;
  }

  // What works beside the threads (cuda/host/async_unit.h).
  AsyncState& async() {
    if (state_.async == nullptr)
      state_.async =
          std::make_unique<AsyncState>(threads(), shared<std::byte>(), state_.shared.size() * sizeof(BlockState::Line));
    return *state_.async;
  }
  // What the lanes of this warp do together (cuda/host/meeting.h).
  template <class Brought, class All>
  void together(Brought& brought, const All& all) {
    state_.warps[static_cast<std::size_t>(warp())].together(lane(), brought, all);
  }
  void sync_warp() {
    struct Nothing {
    } nothing;
    together(nothing, [](const std::array<Nothing*, kWarp>&) {});
  }
  template <class T>
  T shuffle(T value, int from) {
    struct Trade {
      T brought;
      int from;
      T taken;
    } trade{value, from, value};
    together(trade, [](const std::array<Trade*, kWarp>& lanes) {
      for (Trade* lane : lanes) lane->taken = lanes[static_cast<std::size_t>(lane->from)]->brought;
    });
    return trade.taken;
  }
  template <class T>
  T shuffle_xor(T value, int mask) {
    return shuffle(value, lane() ^ mask);
  }
  template <class T>
  T shuffle_down(T value, int delta) {
    return shuffle(value, lane() + delta < kWarp ? lane() + delta : lane());
  }
  std::uint32_t ballot(bool yes) {
    struct Vote {
      bool yes;
      std::uint32_t all;
    } vote{yes, 0};
    together(vote, [](const std::array<Vote*, kWarp>& lanes) {
      std::uint32_t bits = 0;
      for (int l = 0; l < kWarp; ++l) bits |= static_cast<std::uint32_t>(lanes[static_cast<std::size_t>(l)]->yes) << l;
      for (Vote* lane : lanes) lane->all = bits;
    });
    return vote.all;
  }

 private:
  BlockState& state_;
  Index index_;
  int thread_;
};

// Every thread of every block, until all have returned. What one throws ends the launch.
void run_blocks(const Grid& grid, int threads, std::size_t shared_bytes, const std::function<void(HostBlock&)>& thread);

}  // namespace longstride::cuda::host
