// Compiles the file LONGSTRIDE_KERNELS once an instruction set, in namespaces longstride::cpu::{scalar, avx2, avx512,
// avx512_bf16}. It must come after every standard header: inside a target region an inline function of the standard
// library would be compiled for that target and could be kept by the linker for baseline callers. The file is written
// against vector_*.h alone, has no include of its own and opens no parallel region (outlined functions lose the
// target).
//
//   #define LONGSTRIDE_KERNELS "cpu/norm_kernels.inl"
//   #include "cpu/for_each_isa.h"
//   const NormKernels& norm_kernels() { return LONGSTRIDE_CHOOSE(kNormKernels); }   // a table defined by the .inl
#ifndef LONGSTRIDE_KERNELS
#error "define LONGSTRIDE_KERNELS first"
#endif
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/isa.h"
#include "ops/tensor.h"

#ifdef __clang__
#define LONGSTRIDE_PRAGMA(x) _Pragma(#x)
#define LONGSTRIDE_TARGET(names) \
  LONGSTRIDE_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define LONGSTRIDE_TARGET_END _Pragma("clang attribute pop")
#else
#define LONGSTRIDE_PRAGMA(x) _Pragma(#x)
#define LONGSTRIDE_TARGET(names) _Pragma("GCC push_options") LONGSTRIDE_PRAGMA(GCC target(names))
#define LONGSTRIDE_TARGET_END _Pragma("GCC pop_options")
#endif
#define LONGSTRIDE_INLINE [[gnu::always_inline]] static inline

namespace longstride::cpu::scalar {
#include "cpu/vector_scalar.h"
#include LONGSTRIDE_KERNELS
}  // namespace longstride::cpu::scalar

LONGSTRIDE_TARGET("avx2,fma")
namespace longstride::cpu::avx2 {
#include "cpu/vector_avx2.h"
#include LONGSTRIDE_KERNELS
}  // namespace longstride::cpu::avx2
LONGSTRIDE_TARGET_END

LONGSTRIDE_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")
namespace longstride::cpu::avx512 {
#define LONGSTRIDE_NATIVE_BF16 0
#include "cpu/vector_avx512.h"
#undef LONGSTRIDE_NATIVE_BF16
#include LONGSTRIDE_KERNELS
}  // namespace longstride::cpu::avx512
LONGSTRIDE_TARGET_END

LONGSTRIDE_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")
namespace longstride::cpu::avx512_bf16 {
#define LONGSTRIDE_NATIVE_BF16 1
#include "cpu/vector_avx512.h"
#undef LONGSTRIDE_NATIVE_BF16
#include LONGSTRIDE_KERNELS
}  // namespace longstride::cpu::avx512_bf16
LONGSTRIDE_TARGET_END

#undef LONGSTRIDE_KERNELS
#define LONGSTRIDE_CHOOSE(table)                  \
  (isa() == Isa::avx512_bf16 ? avx512_bf16::table \
   : isa() == Isa::avx512    ? avx512::table      \
   : isa() == Isa::avx2      ? avx2::table        \
                             : scalar::table)
