// Rows of the layer norm with its residual addition, and their gradient. One table an instruction set.
#pragma once

#include <cstdint>

namespace longstride {

struct NormRow {
  const float* h_in = nullptr;
  const void* branch = nullptr;   // optional
  const float* scales = nullptr;  // dropout's factor of each element of the branch; nullptr: 1
  float* h_out = nullptr;         // optional without branch; may be h_in
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
  const float* dh_out = nullptr;  // optional
  float* dh = nullptr;            // may be dh_out
  void* dbranch = nullptr;        // optional
  const float* scales = nullptr;  // as above, of dbranch
  float* dweight = nullptr;       // sums over rows: +=
  float* dbias = nullptr;
  bool bf16 = false;  // of dy and dbranch
  float mean = 0, rstd = 0;
  std::int64_t C = 0;
};

struct DropoutWords {  // philox's counter and key but for the element, see Dropout in ops.h
  std::uint32_t site = 0, layer = 0, step = 0;
  std::uint32_t key[2] = {};
  std::uint32_t least = 0;  // elements are kept where the upper 24 bits of their word are at least this
  float scale = 1;          // 1 / (1 - rate)
};

struct NormKernels {
  void (*norm)(const NormRow& row, float* mean, float* rstd);
  void (*norm_backward)(const NormBackwardRow& row);
  // scales[i] = 0 or words.scale, of elements first .. first + count. The same bits on every instruction set.
  void (*dropout_scales)(const DropoutWords& words, std::int64_t first, std::int64_t count, float* scales);
};

const NormKernels& norm_kernels();

}  // namespace longstride
