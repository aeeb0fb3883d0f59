// Copies from global to shared memory that go on beside other work: cp.async on a card; under g++ the interpreter's,
// which land as late or as early as its seed says.
#pragma once

#include "cuda/text.h"

#ifndef __CUDACC__
#include "cuda/host/async_copies.h"
#else

namespace longstride::cuda {

// Those of one thread. What others have copied is there after their wait and a barrier.
class AsyncCopies {
 public:
  // 16 bytes, aligned to 16 on both sides; zeros where `there` is false.
  LONGSTRIDE_DEVICE void copy16(void* shared, const void* global, bool there) {
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    const int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
  }
  // Until everything that was asked for has landed.
  LONGSTRIDE_DEVICE void wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
};

}  // namespace longstride::cuda

#endif

namespace longstride::cuda {

// Those that a kernel makes for a thread of this kind of block.
template <class Block>
LONGSTRIDE_DEVICE AsyncCopies async_copies(Block&) {
  return {};
}

}  // namespace longstride::cuda
