// One warpgroup of a block as a block of its own, of 128 threads: kernels that are written for a block run in it. Its
// barrier is a numbered one, and its shared memory a part of the block's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/grid.h"
#include "cuda/hopper/async_unit.h"
#include "cuda/text.h"

namespace longstride::cuda {

template <class Block, class Unit>
class WarpgroupBlock {
 public:
  // number: of the barrier, which no other warpgroup uses. offset_bytes: where its shared memory begins.
  LONGSTRIDE_DEVICE WarpgroupBlock(Block& block, Unit& unit, int number, std::size_t offset_bytes)
      : block_(block), unit_(unit), number_(number), offset_bytes_(offset_bytes) {}

  LONGSTRIDE_DEVICE Index index() const { return block_.index(); }
  LONGSTRIDE_DEVICE int thread() const { return block_.thread() % kWarpgroup; }
  LONGSTRIDE_DEVICE int threads() const { return kWarpgroup; }
  LONGSTRIDE_DEVICE int lane() const { return block_.lane(); }
  LONGSTRIDE_DEVICE int warp() const { return block_.warp() % (kWarpgroup / kWarp); }
  template <class T>
  LONGSTRIDE_DEVICE T* shared() const {
    return reinterpret_cast<T*>(block_.template shared<char>() + offset_bytes_);
  }
  LONGSTRIDE_DEVICE void sync() { unit_.sync(number_, kWarpgroup); }
  LONGSTRIDE_DEVICE bool sync_or(bool yes) { return unit_.sync_or(number_, kWarpgroup, yes); }
  LONGSTRIDE_DEVICE void sync_warp() { block_.sync_warp(); }
  template <class T>
  LONGSTRIDE_DEVICE T shuffle(T value, int from) {
    return block_.shuffle(value, from);
  }
  template <class T>
  LONGSTRIDE_DEVICE T shuffle_xor(T value, int mask) {
    return block_.shuffle_xor(value, mask);
  }
  template <class T>
  LONGSTRIDE_DEVICE T shuffle_down(T value, int delta) {
    return block_.shuffle_down(value, delta);
  }
  LONGSTRIDE_DEVICE std::uint32_t ballot(bool yes) { return block_.ballot(yes); }
#ifndef __CUDACC__
  template <class Brought, class All>
  void together(Brought& brought, const All& all) {
    block_.together(brought, all);
  }
#endif

 private:
  Block& block_;
  Unit& unit_;
  int number_;
  std::size_t offset_bytes_;
};

}  // namespace longstride::cuda
