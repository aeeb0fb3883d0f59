// This runs the blocks of a launch one after the other.
#include "cuda/host/interpreter.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <numeric>
#include <random>

#include "cuda/host/fibers.h"
#include "cuda/host/memory.h"

namespace longstride::cuda::host {

namespace {

// Several twins launch at the same time where threads play processes.
std::atomic<std::uint64_t>& seed_of_next_launch() {
  static std::atomic<std::uint64_t> seed = 1;
  return seed;
}
std::atomic<bool>& ranked() {
  static std::atomic<bool> every_block = false;
  return every_block;
}
std::atomic<std::int64_t>& count_of_async_units() {
  static std::atomic<std::int64_t> count = 0;
  return count;
}

}  // namespace

BlockState::BlockState(int thread_count, std::size_t shared_bytes)
    : threads(thread_count),
      meeting(thread_count),
      warps(static_cast<std::size_t>(thread_count / kWarp)),
      shared((shared_bytes + sizeof(Line) - 1) / sizeof(Line)) {}

void BlockState::begin() {
  if (!shared.empty()) std::memset(shared.data(), 0xff, shared.size() * sizeof(Line));
  async.reset();
}

void BlockState::end() {
  if (async == nullptr) return;
  async->end();
  ++count_of_async_units();
}

std::int64_t blocks_with_async_unit() { return count_of_async_units(); }

void set_seed(std::uint64_t seed) { seed_of_next_launch() = seed; }
RanksInEveryBlock::RanksInEveryBlock() { ranked() = true; }
RanksInEveryBlock::~RanksInEveryBlock() { ranked() = false; }

void run_blocks(const Grid& grid, int threads, std::size_t shared_bytes,
                const std::function<void(HostBlock&)>& thread) {
  assert(threads > 0 && threads % kWarp == 0);
  const AtWork at_work;
  std::mt19937_64 random(seed_of_next_launch()++);
  std::vector<std::int64_t> order(static_cast<std::size_t>(grid.x * grid.y * grid.z));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::shuffle(order.begin(), order.end(), random);
  Fibers fibers(random(), ranked());
  BlockState state(threads, shared_bytes);
  for (const std::int64_t b : order) {
    const Index index{static_cast<int>(b % grid.x), static_cast<int>(b / grid.x % grid.y),
                      static_cast<int>(b / grid.x / grid.y)};
    state.begin();
    fibers.run(threads, [&](int t) {
      HostBlock block(state, index, t);
      thread(block);
    });
    state.end();
  }
}

}  // namespace longstride::cuda::host
