// Products of Hopper's tensor cores by a warpgroup, for the card alone: sums (64 x N, float32) += left (64 x 16) x
// right (16 x N), both bfloat16. Warp w of four has rows 16 w .., laid out as those of mma.m16n8k16 (sum_element in
// cuda/attention/fragments.h); left comes from shared memory or, as left_element, from registers. They go on beside the
// threads: between the call and AsyncUnit::wait_for_products nobody touches these registers.
#pragma once

#include <cstdint>

#include "cuda/text.h"

namespace longstride::cuda {

// clang-format off
// The sums of 8 or of 16 tiles, and the places of their 32 or 64 registers.
#define LONGSTRIDE_FOUR(s) "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
#define LONGSTRIDE_SUMS_8(s) \
  LONGSTRIDE_FOUR(s[0]), LONGSTRIDE_FOUR(s[1]), LONGSTRIDE_FOUR(s[2]), LONGSTRIDE_FOUR(s[3]), \
  LONGSTRIDE_FOUR(s[4]), LONGSTRIDE_FOUR(s[5]), LONGSTRIDE_FOUR(s[6]), LONGSTRIDE_FOUR(s[7])
#define LONGSTRIDE_SUMS_16(s) \
  LONGSTRIDE_SUMS_8(s), \
  LONGSTRIDE_FOUR(s[8]), LONGSTRIDE_FOUR(s[9]), LONGSTRIDE_FOUR(s[10]), LONGSTRIDE_FOUR(s[11]), \
  LONGSTRIDE_FOUR(s[12]), LONGSTRIDE_FOUR(s[13]), LONGSTRIDE_FOUR(s[14]), LONGSTRIDE_FOUR(s[15])
#define LONGSTRIDE_PLACES_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LONGSTRIDE_PLACES_64 \
  LONGSTRIDE_PLACES_32 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// adds: 0, and the sums begin with this product.
template <int kTransposed>
LONGSTRIDE_DEVICE void product_of(float (&s)[8][4], std::uint64_t left, std::uint64_t right, int adds) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.s32 adds, %34, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      LONGSTRIDE_PLACES_32
      "}, %32, %33, adds, 1, 1, 0, %35; }"
      : LONGSTRIDE_SUMS_8(s)
      : "l"(left), "l"(right), "r"(adds), "n"(kTransposed));
}
template <int kTransposed>
LONGSTRIDE_DEVICE void product_of(float (&s)[8][4], const std::uint32_t (&left)[4], std::uint64_t right, int adds) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.s32 adds, %37, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      LONGSTRIDE_PLACES_32
      "}, {%32, %33, %34, %35}, %36, adds, 1, 1, %38; }"
      : LONGSTRIDE_SUMS_8(s)
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(adds), "n"(kTransposed));
}
template <int kTransposed>
LONGSTRIDE_DEVICE void product_of(float (&s)[16][4], std::uint64_t left, std::uint64_t right, int adds) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.s32 adds, %66, 0; "
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      LONGSTRIDE_PLACES_64
      "}, %64, %65, adds, 1, 1, 0, %67; }"
      : LONGSTRIDE_SUMS_16(s)
      : "l"(left), "l"(right), "r"(adds), "n"(kTransposed));
}
template <int kTransposed>
LONGSTRIDE_DEVICE void product_of(float (&s)[16][4], const std::uint32_t (&left)[4], std::uint64_t right, int adds) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.s32 adds, %69, 0; "
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      LONGSTRIDE_PLACES_64
      "}, {%64, %65, %66, %67}, %68, adds, 1, 1, %70; }"
      : LONGSTRIDE_SUMS_16(s)
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(adds), "n"(kTransposed));
}

#undef LONGSTRIDE_PLACES_64
#undef LONGSTRIDE_PLACES_32
#undef LONGSTRIDE_SUMS_16
#undef LONGSTRIDE_SUMS_8
#undef LONGSTRIDE_FOUR
// clang-format on

}  // namespace longstride::cuda
