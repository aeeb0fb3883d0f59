// What works beside a block's threads on Hopper: the copy engine (TMA), the tensor cores' asynchronous products
// (wgmma), and the barriers of shared memory that tell threads of both. Thin: each function is an instruction or two of
// PTX. Under g++ the same functions are the interpreter's (cuda/host/async_unit.h), which has things happen as late or
// as early as its seed says.
//
// Threads write shared memory by one way (proxy), the unit reads and writes it by another: what threads have written
// the unit sees after `show`.
#pragma once

#include <cstdint>

#include "cuda/hopper/operands.h"
#include "cuda/hopper/tensor_map.h"
#include "cuda/text.h"

namespace longstride::cuda {

// An mbarrier, in shared memory: phase after phase, it waits for a number of arrivals and for the bytes that were
// announced. The parity of phase p, from 0 on, is p % 2.
struct alignas(8) Barrier {
  std::uint64_t bits;
};

inline constexpr int kWarpgroup = 128;  // threads: four warps, of which the first has a number that 4 divides

}  // namespace longstride::cuda

#ifndef __CUDACC__
#include "cuda/host/async_unit.h"
#else

#include "cuda/hopper/wgmma.h"

// Only code for these cards in particular (sm_90a) has wgmma and setmaxnreg.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define LONGSTRIDE_HAS_ASYNC_UNIT 1
#else
#define LONGSTRIDE_HAS_ASYNC_UNIT 0
#endif

namespace longstride::cuda {

class AsyncUnit {
 public:
  // Of anything in shared memory, as instructions are told of it.
  LONGSTRIDE_DEVICE std::uint32_t address(const void* shared) const {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  }

  // By one thread; then show_barriers by the same one and a sync of all who use them.
  LONGSTRIDE_DEVICE void begin(Barrier& barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address(&barrier)), "r"(arrivals) : "memory");
  }
  LONGSTRIDE_DEVICE void show_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    show();
  }
  LONGSTRIDE_DEVICE void arrive(Barrier& barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address(&barrier)) : "memory");
  }
  // An arrival, and so many bytes will be copied.
  LONGSTRIDE_DEVICE void arrive_for(Barrier& barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address(&barrier)), "r"(bytes)
                 : "memory");
  }
  // Until the phase of this parity is over; of a barrier in its phase 0 the one before, of parity 1, is.
  LONGSTRIDE_DEVICE void wait(Barrier& barrier, int parity) {
    std::uint32_t over;
    do {
      asm volatile(
          "{ .reg .pred over; mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2; selp.u32 %0, 1, 0, over; }"
          : "=r"(over)
          : "r"(address(&barrier)), "r"(parity)
          : "memory");
    } while (over == 0);
  }

  // What this thread has written, to the unit.
  LONGSTRIDE_DEVICE void show() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
  // Asks for a box: 64 channels from `channel` on of positions i .. of head h of sequence b, as many as the map's boxes
  // have. shared: aligned to 128 bytes; its bytes are undefined until the barrier has counted them.
  LONGSTRIDE_DEVICE void copy(const TensorMap& map, const TensorOrder& order, void* shared, Barrier& barrier,
                              int channel, int i, int h, int b) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
        "[%2];" ::"r"(address(shared)),
        "l"(&map), "r"(address(&barrier)), "r"(channel), "r"(order.coordinate(1, i, h, b)),
        "r"(order.coordinate(2, i, h, b)), "r"(order.coordinate(3, i, h, b))
        : "memory");
  }

  // Products of a warpgroup, all of whose threads call these with the same operands. Products are asked for between
  // `begin_products` and `commit_products`, a group; what they need of registers is written before.
  LONGSTRIDE_DEVICE void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
  LONGSTRIDE_DEVICE void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
  // Until at most kLeft groups, the latest, are under way; sums of the others are there. held: these sums.
  template <int kLeft, int kTiles>
  LONGSTRIDE_DEVICE void wait_for_products(float (&held)[kTiles][4]) {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kTiles; ++t)  // the compiler is kept from moving their use before the wait
      asm volatile("" : "+f"(held[t][0]), "+f"(held[t][1]), "+f"(held[t][2]), "+f"(held[t][3])::"memory");
  }
  // sum (64 x 8 kTiles) += left x right, or becomes it. kTransposed: of right.
  template <bool kTransposed, int kTiles, class Left>
  LONGSTRIDE_DEVICE void multiply(float (&sum)[kTiles][4], const Left& left, std::uint64_t right, bool adds) {
    product_of<kTransposed ? 1 : 0>(sum, left, right, adds ? 1 : 0);
  }

  // Of `threads` threads, whole warps; number: 1 to 15.
  LONGSTRIDE_DEVICE void sync(int number, int threads) {
    asm volatile("barrier.sync.aligned %0, %1;" ::"r"(number), "r"(threads) : "memory");
  }
  // Whether any of them said yes.
  LONGSTRIDE_DEVICE bool sync_or(int number, int threads, bool yes) {
    std::uint32_t any;
    asm volatile(
        "{ .reg .pred yes, any; setp.ne.u32 yes, %3, 0; barrier.red.or.pred.aligned any, %1, %2, yes; "
        "selp.u32 %0, 1, 0, any; }"
        : "=r"(any)
        : "r"(number), "r"(threads), "r"(yes ? 1 : 0)
        : "memory");
    return any != 0;
  }

  // A warpgroup's threads have kRegisters each from here on: fewer, or more, which others have given up.
  template <int kRegisters>
  LONGSTRIDE_DEVICE void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }
  template <int kRegisters>
  LONGSTRIDE_DEVICE void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }
};

template <class Block>
LONGSTRIDE_DEVICE AsyncUnit async_unit(Block&) {
  return {};
}

}  // namespace longstride::cuda

#endif
