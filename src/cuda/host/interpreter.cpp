// This lets the threads of one block after the other meet.
#include "cuda/host/interpreter.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/host/fibers.h"

namespace longstride::cuda::host {

namespace {

std::uint64_t& seed_of_launches() {
  static std::uint64_t seed = 1;
  return seed;
}

// Threads that wait for one another: the last that arrives lets all go on.
class Meeting {
 public:
  void reset() { arrived_ = 0; }
  std::uint64_t turn() const { return turn_; }
  void wait_for(int all) {
    const std::uint64_t mine = turn_;
    if (++arrived_ == all) {
      arrived_ = 0;
      ++turn_;
      Fibers::yield();
    } else {
      Fibers::wait_until([this, mine] { return turn_ != mine; });
    }
  }

 private:
  int arrived_ = 0;
  std::uint64_t turn_ = 0;
};

// Two sets of slots: who trades again must have met all lanes in between, who have then read the first.
struct Warp {
  Meeting meeting;
  std::array<std::array<std::byte, HostBlock::kMostTraded * kWarp>, 2> slots = {};
};

struct alignas(128) Line {
  std::byte bytes[128];
};

}  // namespace

class BlockState {
 public:
  BlockState(int threads, std::size_t shared_bytes)
      : threads_(threads),
        warps_(static_cast<std::size_t>(threads / kWarp)),
        shared_((shared_bytes + sizeof(Line) - 1) / sizeof(Line)) {}

  void begin() {
    meeting_.reset();
    for (Warp& warp : warps_) warp.meeting.reset();
    if (!shared_.empty()) std::memset(shared_.data(), 0xff, shared_.size() * sizeof(Line));
  }
  int threads() const { return threads_; }
  Meeting& meeting() { return meeting_; }
  Warp& warp(int w) { return warps_[static_cast<std::size_t>(w)]; }
  std::byte* shared() { return shared_.empty() ? nullptr : shared_.data()->bytes; }

 private:
  int threads_;
  Meeting meeting_;
  std::vector<Warp> warps_;
  std::vector<Line> shared_;
};

int HostBlock::threads() const { return state_.threads(); }
std::byte* HostBlock::memory() const { return state_.shared(); }
void HostBlock::sync() { state_.meeting().wait_for(state_.threads()); }

const std::byte* HostBlock::meet_warp(const void* value, std::size_t bytes) {
  Warp& at = state_.warp(warp());
  auto& slots = at.slots[at.meeting.turn() % 2];
  std::memcpy(slots.data() + static_cast<std::size_t>(lane()) * kMostTraded, value, bytes);
  at.meeting.wait_for(kWarp);
  return slots.data();
}

std::uint32_t HostBlock::ballot(bool yes) {
  const std::byte* said = meet_warp(&yes, sizeof(yes));
  std::uint32_t bits = 0;
  for (int l = 0; l < kWarp; ++l) {
    bool one = false;
    std::memcpy(&one, said + static_cast<std::size_t>(l) * kMostTraded, sizeof(one));
    bits |= static_cast<std::uint32_t>(one) << l;
  }
  return bits;
}

void set_seed(std::uint64_t seed) { seed_of_launches() = seed; }

void run_blocks(const Grid& grid, int threads, std::size_t shared_bytes, const std::function<void(HostBlock&)>& thread) {
  assert(threads > 0 && threads % kWarp == 0);
  const std::int64_t blocks = grid.x * grid.y * grid.z;
  std::mt19937_64 random(seed_of_launches()++);
  std::vector<std::int64_t> order(static_cast<std::size_t>(blocks));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::shuffle(order.begin(), order.end(), random);
  Fibers fibers(random());
  BlockState state(threads, shared_bytes);
  for (const std::int64_t b : order) {
    const Index index{b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
    state.begin();
    fibers.run(threads, [&](int t) {
      HostBlock block(state, index, t);
      thread(block);
    });
  }
}

}  // namespace longstride::cuda::host
