// Rows of the layer norm with its residual addition, and their gradient. One table an instruction set.
#pragma once

#include <cstdint>

namespace longstride::cpu {

struct NormRow {
  const float* h_in = nullptr;
  const void* branch = nullptr;         // optional
  const std::uint32_t* kept = nullptr;  // dropout: bit c % 32 of word c / 32 is 1 where the branch's element c is kept
  float scale = 1;                      // and multiplied by this. nullptr: all are, as they are
  float* h_out = nullptr;               // optional without branch; may be h_in
  const float* weight = nullptr;
  const float* bias = nullptr;
  void* y = nullptr;
  bool bf16 = false;  // of branch and y
  float eps = 0;
  std::int64_t C = 0;
};
struct NormBackwardRow {
  const void* dy = nullptr;
  const float* h = nullptr;
  const float* weight = nullptr;
  const float* dh_out = nullptr;        // optional
  float* dh = nullptr;                  // may be dh_out
  void* dbranch = nullptr;              // optional
  const std::uint32_t* kept = nullptr;  // as above, of dbranch
  float scale = 1;
  float* dweight = nullptr;  // sums over rows: +=
  float* dbias = nullptr;
  bool bf16 = false;  // of dy and dbranch
  float mean = 0, rstd = 0;
  std::int64_t C = 0;
};

struct DropoutWords {  // philox's counter and key but for the element, see Dropout in ops.h
  std::uint32_t site = 0, layer = 0, step = 0;
  std::uint32_t key[2] = {};
  std::uint32_t least = 0;  // elements are kept where their word is at least this
};

// Words that a mask of `count` elements is made in: it begins at a whole block of philox, up to 3 elements before the
// first, and is made 128 bits at a time; one word more is read when those 3 are shifted out.
constexpr std::int64_t dropout_mask_words(std::int64_t count) { return (count + 3 + 127) / 128 * 4 + 1; }

struct NormKernels {
  void (*norm)(const NormRow& row, float* mean, float* rstd);
  void (*norm_backward)(const NormBackwardRow& row);
  // Bit i % 32 of kept[i / 32]: is element first + i kept? The same on every instruction set. Needs room for
  // dropout_mask_words(count); bits from `count` on hold anything.
  void (*dropout_mask)(const DropoutWords& words, std::int64_t first, std::int64_t count, std::uint32_t* kept);
};

const NormKernels& norm_kernels();

}  // namespace longstride::cpu
