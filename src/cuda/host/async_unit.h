// The interpreter's AsyncUnit: the functions of cuda/hopper/async_unit.h for a thread of an interpreted block.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>

#include "cuda/host/interpreter.h"

#define LONGSTRIDE_HAS_ASYNC_UNIT 1

namespace longstride::cuda {

class AsyncUnit {
 public:
  explicit AsyncUnit(host::HostBlock& block) : block_(block), state_(block.async()) {}

  std::uint32_t address(const void* shared) const { return state_.address(shared); }

  void begin(Barrier& barrier, int arrivals) { state_.begin_barrier(&barrier, arrivals); }
  void show_barriers() { state_.show_barriers(); }
  void arrive(Barrier& barrier) { state_.arrive(&barrier, 0); }
  void arrive_for(Barrier& barrier, int bytes) { state_.arrive(&barrier, bytes); }
  void wait(Barrier& barrier, int parity) { state_.wait(&barrier, parity); }

  void show() { state_.show(); }
  void copy(const TensorMap& map, const TensorOrder& order, void* shared, Barrier& barrier, int channel, int i, int h,
            int b) {
    state_.copy(map,
                {channel, order.coordinate(1, i, h, b), order.coordinate(2, i, h, b), order.coordinate(3, i, h, b)},
                shared, &barrier);
  }

  void begin_products() {
    of_warp([this] { state_.begin_products(block_.warp()); });
  }
  void commit_products() {
    of_warp([this] { state_.commit_products(block_.warp()); });
  }
  template <int kLeft, int kTiles>
  void wait_for_products(float (&)[kTiles][4]) {
    of_warp([this] { state_.wait_for_products(block_.warp(), kLeft); });
  }
  template <bool kTransposed, int kTiles>
  void multiply(float (&sum)[kTiles][4], std::uint64_t left, std::uint64_t right, bool adds) {
    ask({{&sum[0][0], nullptr}, {kTiles, kTransposed, adds, left, right}});
  }
  template <bool kTransposed, int kTiles>
  void multiply(float (&sum)[kTiles][4], const std::uint32_t (&left)[4], std::uint64_t right, bool adds) {
    ask({{&sum[0][0], left}, {kTiles, kTransposed, adds, 0, right}});
  }

  void sync(int number, int threads) { state_.sync(number, threads, false); }
  bool sync_or(int number, int threads, bool yes) { return state_.sync(number, threads, yes); }

  template <int kRegisters>
  void give_registers() {
    state_.set_registers(block_.thread(), kRegisters, false);
  }
  template <int kRegisters>
  void take_registers() {
    state_.set_registers(block_.thread(), kRegisters, true);
  }

 private:
  struct Brought {
    host::LaneOfProduct lane;
    host::AskedProduct asked;
  };
  template <class Once>
  void of_warp(const Once& once) {
    struct Call {
      const Once* once;
    } call{&once};
    block_.together(call, [](const auto& lanes) { (*lanes[0]->once)(); });
  }
  void ask(Brought brought) {
    block_.together(brought, [this](const auto& lanes) {
      std::array<host::LaneOfProduct, kWarp> all;
      for (std::size_t l = 0; l < all.size(); ++l) {
        if (!(lanes[l]->asked == lanes[0]->asked))
          throw std::logic_error("lanes of one warp ask for different products");
        all[l] = lanes[l]->lane;
      }
      state_.multiply(block_.warp(), lanes[0]->asked, all);
    });
  }

  host::HostBlock& block_;
  host::AsyncState& state_;
};

inline AsyncUnit async_unit(host::HostBlock& block) { return AsyncUnit(block); }

}  // namespace longstride::cuda
