// These tests hold the interpreter of kernels to what it is for: what a correct kernel computes depends on no seed, and
// what lacks a sync is found.
#include "cuda/host/interpreter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <vector>

#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace longstride::cuda {
namespace {

constexpr int kThreads = 96;
constexpr std::uint64_t kSeeds = 40;

// Each thread leaves its number and takes what its neighbour left.
struct TakeFromNeighbour {
  static constexpr int kThreads = longstride::cuda::kThreads;
  float* out;  // (blocks, kThreads)
  bool synced;
  std::size_t shared_bytes() const { return kThreads * sizeof(float); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* left = block.template shared<float>();
    left[block.thread()] = static_cast<float>(block.thread());
    if (synced) block.sync();
    out[block.index().x * kThreads + block.thread()] = left[(block.thread() + 1) % kThreads];
  }
};

// Twice through the same memory: without the second sync a thread writes what another has still to read.
struct RotateTwice {
  static constexpr int kThreads = longstride::cuda::kThreads;
  float* out;
  bool synced;
  std::size_t shared_bytes() const { return kThreads * sizeof(float); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* left = block.template shared<float>();
    auto mine = static_cast<float>(block.thread());
    for (int round = 0; round < 2; ++round) {
      left[block.thread()] = mine;
      block.sync();
      mine = left[(block.thread() + 1) % kThreads];
      if (synced) block.sync();
    }
    out[block.thread()] = mine;
  }
};

// All threads but one meet.
struct OneStaysAway {
  static constexpr int kThreads = longstride::cuda::kThreads;
  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    if (block.thread() != 17) block.sync();
  }
};

struct Reductions {
  static constexpr int kThreads = longstride::cuda::kThreads;
  double* out;  // (kThreads, 3)
  std::size_t shared_bytes() const { return kThreads / kWarp * sizeof(double); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* of_warps = block.template shared<double>();
    const double x = 1.0 / (1 + block.thread());
    out[block.thread() * 3] = reduce_block(block, x, of_warps, Add());
    out[block.thread() * 3 + 1] = reduce_block(block, -x, of_warps, Largest());
    out[block.thread() * 3 + 2] = reduce_warp(block, x, Add());
  }
};

struct Lanes {
  static constexpr int kThreads = longstride::cuda::kThreads;
  int* out;  // (kThreads, 4)
  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    int* mine = out + block.thread() * 4;
    mine[0] = block.shuffle(block.thread(), 5);
    mine[1] = block.shuffle_xor(block.thread(), 3);
    mine[2] = block.shuffle_down(block.thread(), 30);
    mine[3] = static_cast<int>(block.ballot(block.thread() % 3 == 0));
  }
};

struct WhoseSharedMemory {
  static constexpr int kThreads = kWarp;
  float* out;
  std::size_t shared_bytes() const { return kThreads * sizeof(float); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* left = block.template shared<float>();
    out[block.index().x * kThreads + block.thread()] = left[block.thread()];
    left[block.thread()] = 1;
  }
};

// What the kernel leaves under one seed after another.
template <class Kernel>
std::set<std::vector<float>> results(Kernel kernel, std::size_t count, Grid grid = {}) {
  std::set<std::vector<float>> all;
  Stream stream;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    host::set_seed(seed);
    std::vector<float> out(count, -1);
    kernel.out = out.data();
    launch(stream, kernel, grid);
    for (float& x : out) x = std::isnan(x) ? -2 : x;
    all.insert(out);
  }
  return all;
}

TEST(Interpreter, GivesTheSameBitsUnderEverySeed) {
  std::vector<float> want;
  for (int t = 0; t < 4 * kThreads; ++t) want.push_back(static_cast<float>((t % kThreads + 1) % kThreads));
  EXPECT_EQ(results(TakeFromNeighbour{nullptr, true}, want.size(), {4}), std::set<std::vector<float>>{want});
  want.resize(kThreads);
  for (int t = 0; t < kThreads; ++t) want[static_cast<std::size_t>(t)] = static_cast<float>((t + 2) % kThreads);
  EXPECT_EQ(results(RotateTwice{nullptr, true}, want.size()), std::set<std::vector<float>>{want});
}

TEST(Interpreter, FindsReadsOfWhatIsNotWrittenYet) {
  const std::set<std::vector<float>> all = results(TakeFromNeighbour{nullptr, false}, kThreads);
  EXPECT_GT(all.size(), kSeeds / 2);
  for (const std::vector<float>& one : all) EXPECT_NE(std::count(one.begin(), one.end(), -2.0f), 0);  // NaN
}

TEST(Interpreter, FindsWritesOverWhatIsNotReadYet) {
  EXPECT_GT(results(RotateTwice{nullptr, false}, kThreads).size(), kSeeds / 2);
}

TEST(Interpreter, SaysThatThreadsWaitForOneThatDoesNotCome) {
  Stream stream;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    host::set_seed(seed);
    EXPECT_THROW(launch(stream, OneStaysAway(), {}), std::logic_error);
  }
}

TEST(Interpreter, SharedMemoryIsNaNInEveryBlock) {
  const std::set<std::vector<float>> all = results(WhoseSharedMemory{nullptr}, 3 * kWarp, {3});
  EXPECT_EQ(all, std::set<std::vector<float>>{std::vector<float>(3 * kWarp, -2.0f)});
}

TEST(Interpreter, LanesTradeWithinTheirWarp) {
  Stream stream;
  std::vector<int> out(kThreads * 4);
  launch(stream, Lanes{out.data()}, {});
  for (int t = 0; t < kThreads; ++t) {
    const int* mine = out.data() + t * 4;
    const int first = t / kWarp * kWarp, lane = t % kWarp;
    EXPECT_EQ(mine[0], first + 5);
    EXPECT_EQ(mine[1], first + (lane ^ 3));
    EXPECT_EQ(mine[2], lane < 2 ? t + 30 : t);
    for (int l = 0; l < kWarp; ++l) EXPECT_EQ(mine[3] >> l & 1, (first + l) % 3 == 0) << t << " " << l;
  }
}

TEST(Interpreter, ReductionsGiveEveryThreadTheSame) {
  Stream stream;
  double sum = 0;
  for (int t = 0; t < kThreads; ++t) sum += 1.0 / (1 + t);
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    host::set_seed(seed);
    std::vector<double> out(kThreads * 3);
    launch(stream, Reductions{out.data()}, {});
    EXPECT_NEAR(out[0], sum, 1e-13);
    for (int t = 0; t < kThreads; ++t) {
      const double* mine = out.data() + t * 3;
      EXPECT_EQ(mine[0], out[0]);
      EXPECT_EQ(mine[1], -1.0 / kThreads);
      EXPECT_EQ(mine[2], out[static_cast<std::size_t>(t / kWarp * kWarp * 3 + 2)]);
    }
  }
}

struct Count {
  int* seen;
  std::int64_t cols = 0;
  void operator()(std::int64_t i) const { ++seen[i]; }
  void operator()(std::int64_t r, std::int64_t c) const { ++seen[r * cols + c]; }
};

TEST(Interpreter, EachElementIsMetOnce) {
  Stream stream;
  for (const std::int64_t count : {1, 255, 1024, 1025, 3000}) {
    std::vector<int> seen(static_cast<std::size_t>(count + 1));
    launch_each(stream, count, Count{seen.data()});
    for (std::int64_t i = 0; i <= count; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i < count) << count;
  }
  for (const std::int64_t cols : {1, 127, 512, 513}) {
    std::vector<int> seen(static_cast<std::size_t>(3 * cols + 1));
    launch_each(stream, 3, cols, Count{seen.data(), cols});
    for (std::int64_t i = 0; i <= 3 * cols; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i < 3 * cols) << cols;
  }
}

}  // namespace
}  // namespace longstride::cuda
