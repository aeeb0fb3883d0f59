// This has the driver write what Hopper's copy engine reads. The driver is asked for its function when it is needed, so
// that a program starts where there is no driver.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>

#include "cuda/hopper/tensor_map.h"
#include "cuda/status.h"
#include "longstride/error.h"

// CUDA 12.5 and later ask for a function as it is since some version, and may know no other way; earlier ones ask by
// its name alone. tests/cuda/calls compiles both.
#ifndef LONGSTRIDE_DRIVER_IS_ASKED_BY_VERSION
#define LONGSTRIDE_DRIVER_IS_ASKED_BY_VERSION (CUDART_VERSION >= 12050)
#endif

namespace longstride::cuda {

namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode drivers_encode() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if LONGSTRIDE_DRIVER_IS_ASKED_BY_VERSION
  constexpr unsigned int kSince = 12000;  // the version of CUDA that has the function in this form
  require(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, kSince, cudaEnableDefault, &result),
          "the driver's function for tensor maps");
#else
  require(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result),
          "the driver's function for tensor maps");
#endif
  if (result != cudaDriverEntryPointSuccess || found == nullptr)
    throw Error(ErrorKind::unavailable, "cuda: the driver has no function for tensor maps; a newer driver has");
  return reinterpret_cast<Encode>(found);
}

}  // namespace

TensorMap encode(const Heads& x, const TensorShape& shape, const TensorOrder& order, int rows) {
  static_assert(sizeof(TensorMap::words) == sizeof(CUtensorMap) && sizeof(TensorMap) == sizeof(CUtensorMap) &&
                alignof(TensorMap) >= alignof(CUtensorMap));
  static const Encode call = drivers_encode();
  cuuint64_t extents[4], strides[3];
  for (int d = 0; d < 4; ++d) extents[d] = shape.extents[d];
  for (int d = 0; d < 3; ++d) strides[d] = shape.strides_bytes[d];
  cuuint32_t box[4] = {kBoxChannels, 1, 1, 1}, steps[4] = {1, 1, 1, 1};
  box[order.position] = static_cast<cuuint32_t>(rows);
  CUtensorMap made;
  const CUresult status = call(&made, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, x.data, extents, strides, box, steps,
                               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw Error(ErrorKind::unavailable,
                "cuda: the driver does not take a map of attention's operands (status " + std::to_string(status) + ")");
  TensorMap map;
  std::memcpy(map.words, &made, sizeof(map.words));
  return map;
}

}  // namespace longstride::cuda
