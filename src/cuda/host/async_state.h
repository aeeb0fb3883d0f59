// What works beside the threads of an interpreted block: copies of boxes, products of warpgroups, barriers in shared
// memory. Each happens as late or as early as the seed says, and what must not be touched meanwhile is NaN:
//   - a box is NaN from the moment that it is asked for, and lands then or when someone waits for its barrier;
//   - sums of products are NaN until they are waited for, and must still be when they come; operands are read when the
//     product is asked for or when it is waited for, whatever is there;
//   - what threads have written to shared memory the products do not see before `show`: reading it is an error. On a card
//     each thread shows what it wrote itself; here one thread's `show` shows what all have written so far.
// Misuse that a card would answer with anything at all is a std::logic_error that says what it was.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/hopper/tensor_map.h"
#include "cuda/host/meeting.h"

namespace longstride::cuda::host {

// What one lane brings to a product: its sums, `tiles` times four, and its part of the left operand, where registers
// hold it.
struct LaneOfProduct {
  float* sums;
  const std::uint32_t* left;  // 4; none: the left operand lies in shared memory
};
struct AskedProduct {
  int tiles;
  bool transposed, adds;
  std::uint64_t left, right;  // operands in shared memory
  bool operator==(const AskedProduct&) const = default;
};

class AsyncState {
 public:
  // Of one block of so many threads, whose shared memory this is.
  AsyncState(int threads, std::byte* shared, std::size_t bytes);
  // When the block ends: what is still under way is an error.
  void end() const;

  void begin_barrier(const void* barrier, int arrivals);
  void show_barriers();
  void arrive(const void* barrier, int bytes);
  void wait(const void* barrier, int parity);

  void show();
  void copy(const TensorMap& map, const std::array<int, 4>& coordinates, void* shared, const void* barrier);

  // Of warps: a warp's lanes have met.
  void begin_products(int warp);
  void multiply(int warp, const AskedProduct& asked, const std::array<LaneOfProduct, kWarpLanes>& lanes);
  void commit_products(int warp);
  void wait_for_products(int warp, int left);

  bool sync(int number, int threads, bool yes);
  void set_registers(int thread, int registers, bool more);

  std::uint32_t address(const void* shared) const;

 private:
  struct BarrierState {
    int arrivals = 0, awaited = 0;
    std::int64_t bytes = 0;
    std::uint64_t phase = 0;
    bool shown = false;
    bool over(int parity) const { return static_cast<int>(phase % 2) != parity; }
  };
  struct Copy {
    TensorMap map;
    std::array<int, 4> coordinates;
    std::uint32_t to;
    const void* barrier;
  };
  struct Product {
    AskedProduct asked;
    std::array<LaneOfProduct, kWarpLanes> lanes;
    std::array<std::array<std::uint32_t, 4>, kWarpLanes> registers;  // what they held
    std::vector<float> begun;                                        // sums before, lane by lane; of the first only
    std::vector<float> left, right;                                  // (16, 16), (16, 8 tiles); none: not read yet
  };
  struct Warp {
    bool begun = false;
    std::vector<Product> open;
    std::deque<std::vector<Product>> groups;
    std::size_t products = 0;  // so far
  };
  struct Named {
    int threads;
    Meeting meeting;
    bool said = false, anyone = false;
  };

  BarrierState& barrier_at(const void* barrier);
  void finish_phase(BarrierState& barrier);
  void land(const Copy& copy);
  void land_all_of(const void* barrier);
  float element(std::uint32_t address) const;
  void read_operands(int warp, Product& product) const;
  static void take_sums(Product& product);
  void complete(int warp, Product& product);
  bool is_begun_by_another(const Warp& warp, const float* sums) const;

  int threads_;
  std::byte* shared_;
  std::vector<std::byte> seen_;  // the shared memory as copies and products see it
  std::map<const void*, BarrierState> barriers_;
  std::vector<Copy> copies_;
  std::vector<Warp> warps_;
  std::vector<std::vector<AskedProduct>> asked_;  // of each warpgroup, in order
  std::map<int, std::unique_ptr<Named>> named_;
  std::vector<int> registers_;  // of each thread
  int free_registers_ = 0;
};

}  // namespace longstride::cuda::host
