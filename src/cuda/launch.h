// Kernels, and how they run. A kernel is a plain struct that holds what it needs by value, with
//   static constexpr int kThreads;                                       // of a block, a multiple of a warp
//   std::size_t shared_bytes() const;                                    // of a block
//   template <class Block> LONGSTRIDE_DEVICE void operator()(Block& block) const;   // what one thread does
// nvcc makes an entry for the card of it; under g++ the interpreter runs it (cuda/host/interpreter.h), whose HostBlock
// has the same functions as DeviceBlock here.
#pragma once

#include <cstddef>

#include "cuda/card.h"
#include "cuda/grid.h"
#include "cuda/text.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include "cuda/status.h"
#else
#include "cuda/host/interpreter.h"
#include "cuda/host/recorded.h"
#endif

namespace longstride::cuda {

// A kernel goes to the card as a parameter; drivers before 12.1 take so many bytes.
inline constexpr std::size_t kMostParameterBytes = 4096;

#ifdef __CUDACC__

// One thread's view of its block.
class DeviceBlock {
 public:
  LONGSTRIDE_DEVICE Index index() const {
    return {static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z)};
  }
  LONGSTRIDE_DEVICE int thread() const { return static_cast<int>(threadIdx.x); }
  LONGSTRIDE_DEVICE int threads() const { return static_cast<int>(blockDim.x); }
  LONGSTRIDE_DEVICE int lane() const { return thread() % kWarp; }
  LONGSTRIDE_DEVICE int warp() const { return thread() / kWarp; }
  // The block's memory: shared_bytes() of the kernel, contents undefined.
  template <class T>
  LONGSTRIDE_DEVICE T* shared() const {
    extern __shared__ __align__(1024) unsigned char longstride_shared[];
    return reinterpret_cast<T*>(longstride_shared);
  }
  LONGSTRIDE_DEVICE void sync() { __syncthreads(); }
  LONGSTRIDE_DEVICE bool sync_or(bool yes) { return __syncthreads_or(yes) != 0; }  // whether any thread said yes
  // Of a whole warp, all of whose threads call these.
  LONGSTRIDE_DEVICE void sync_warp() { __syncwarp(); }
  template <class T>
  LONGSTRIDE_DEVICE T shuffle(T value, int from) {
    return __shfl_sync(0xffffffffu, value, from);
  }
  // The value of lane `lane() ^ mask`.
  template <class T>
  LONGSTRIDE_DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
  }
  // The value of lane `lane() + delta`; the own one where there is none.
  template <class T>
  LONGSTRIDE_DEVICE T shuffle_down(T value, int delta) {
    return __shfl_down_sync(0xffffffffu, value, static_cast<unsigned>(delta));
  }
  // Bit l says what lane l said.
  LONGSTRIDE_DEVICE std::uint32_t ballot(bool yes) { return __ballot_sync(0xffffffffu, yes); }
};

// One block at a time is enough for a multiprocessor: registers are not given up for a second one.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, 1) entry(const __grid_constant__ Kernel kernel) {
  DeviceBlock block;
  kernel(block);
}

template <class Kernel>
void launch(Stream& stream, const Kernel& kernel, Grid grid) {
  static_assert(sizeof(Kernel) <= kMostParameterBytes);
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const std::size_t bytes = kernel.shared_bytes();
  if (bytes > kWithoutAsking)
    require(cudaFuncSetAttribute(entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
            "a kernel's shared memory");
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  entry<Kernel><<<blocks, Kernel::kThreads, bytes, static_cast<cudaStream_t>(stream.handle)>>>(kernel);
  require(cudaGetLastError(), "the launch of a kernel");
}

#else

template <class Kernel>
void launch(Stream& stream, const Kernel& kernel, Grid grid) {
  static_assert(sizeof(Kernel) <= kMostParameterBytes);
  host::put(stream, [kernel, grid] {
    host::run_blocks(grid, Kernel::kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) { kernel(block); });
  });
}

#endif

// body(i) of every i in [0, count): elements that know nothing of one another.
template <class Body>
struct EachElement {
  static constexpr int kThreads = 256, kEach = 4;
  Body body;
  std::int64_t count;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t first = std::int64_t{block.index().x} * kThreads * kEach + block.thread();
    LONGSTRIDE_UNROLL
    for (int n = 0; n < kEach; ++n) {
      const std::int64_t i = first + n * kThreads;
      if (i < count) body(i);
    }
  }
};
// body(r, c) of every element of a matrix.
template <class Body>
struct EachOfMatrix {
  static constexpr int kThreads = 128, kEach = 4;
  Body body;
  std::int64_t cols;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t first = std::int64_t{block.index().y} * kThreads * kEach + block.thread();
    LONGSTRIDE_UNROLL
    for (int n = 0; n < kEach; ++n) {
      const std::int64_t c = first + n * kThreads;
      if (c < cols) body(std::int64_t{block.index().x}, c);
    }
  }
};

template <class Body>
void launch_each(Stream& stream, std::int64_t count, const Body& body) {
  using Kernel = EachElement<Body>;
  launch(stream, Kernel{body, count}, {divide_up(count, Kernel::kThreads * Kernel::kEach)});
}
template <class Body>
void launch_each(Stream& stream, std::int64_t rows, std::int64_t cols, const Body& body) {
  using Kernel = EachOfMatrix<Body>;
  launch(stream, Kernel{body, cols}, {rows, divide_up(cols, Kernel::kThreads * Kernel::kEach)});
}

}  // namespace longstride::cuda
