// Runs kernels on the host, to show that their text is right where there is no card. Threads of a block are fibers; who goes
// on after a meeting (sync, and what warps do together) is picked from a seed, and so is the order of blocks. Shared memory
// begins as NaN. A sync that is missing then gives NaN, or other bits under another seed; one that not all threads reach is
// a deadlock, which is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#include "cuda/grid.h"

namespace longstride::cuda::host {

// The orders of all launches from now on follow from this and from how many launches came before.
void set_seed(std::uint64_t seed);

// What the threads of a block share.
class BlockState;

// One thread's view of its block.
class HostBlock {
 public:
  HostBlock(BlockState& state, Index index, int thread) : state_(state), index_(index), thread_(thread) {}

  Index index() const { return index_; }
  int thread() const { return thread_; }
  int threads() const;
  int lane() const { return thread_ % kWarp; }
  int warp() const { return thread_ / kWarp; }
  template <class T>
  T* shared() const {
    return reinterpret_cast<T*>(memory());
  }
  void sync();
  template <class T>
  T shuffle_xor(T value, int mask) {
    return trade(value, lane() ^ mask);
  }
  template <class T>
  T shuffle_down(T value, int delta) {
    return trade(value, lane() + delta < kWarp ? lane() + delta : lane());
  }
  std::uint32_t ballot(bool yes);

  static constexpr std::size_t kMostTraded = 16;  // bytes a lane

 private:
  std::byte* memory() const;
  // Leaves `bytes` for the other lanes of the warp, waits for all of them, and gives what they left: kMostTraded a lane.
  const std::byte* meet_warp(const void* value, std::size_t bytes);
  template <class T>
  T trade(T value, int from) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMostTraded);
    T other;
    std::memcpy(&other, meet_warp(&value, sizeof(T)) + static_cast<std::size_t>(from) * kMostTraded, sizeof(T));
    return other;
  }

  BlockState& state_;
  Index index_;
  int thread_;
};

// Every thread of every block, until all have returned. What one throws ends the launch.
void run_blocks(const Grid& grid, int threads, std::size_t shared_bytes, const std::function<void(HostBlock&)>& thread);

}  // namespace longstride::cuda::host
