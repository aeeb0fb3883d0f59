// The driver's function for maps of tensors, which refuses what its documentation (cuda.h) does.
#include "driver.h"

#include <cuda_runtime_api.h>

#include <cstring>

namespace longstride::tests {

namespace {

// Of a tensor that is not interleaved.
bool is_allowed(const void* data, const cuuint64_t* extents, const cuuint64_t* strides, const cuuint32_t* box,
                const cuuint32_t* steps, std::uint32_t rank, std::uint32_t size_bytes) {
  bool allowed = reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && box[0] * size_bytes % 16 == 0;
  allowed = allowed && box[0] * size_bytes <= 128;  // of a box that is swizzled within 128 bytes
  for (std::uint32_t d = 0; d < rank; ++d) {
    allowed = allowed && extents[d] > 0 && extents[d] <= std::uint64_t{1} << 32;
    allowed = allowed && box[d] > 0 && box[d] <= 256 && steps[d] > 0 && steps[d] <= 8;
    if (d + 1 == rank) continue;
    allowed = allowed && strides[d] % 16 == 0 && strides[d] < std::uint64_t{1} << 40 && strides[d] >= extents[d];
  }
  return allowed;
}

CUresult encode_tiled(CUtensorMap* made, CUtensorMapDataType type, cuuint32_t rank, void* data,
                      const cuuint64_t* extents, const cuuint64_t* strides, const cuuint32_t* box,
                      const cuuint32_t* steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                      CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  if (driver().answer != CUDA_SUCCESS) return driver().answer;
  const bool wanted = type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 && rank == 4 &&
                      interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && swizzle == CU_TENSOR_MAP_SWIZZLE_128B &&
                      fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
  if (!wanted || reinterpret_cast<std::uintptr_t>(made) % 64 != 0 ||
      !is_allowed(data, extents, strides, box, steps, rank, 2))
    return CUDA_ERROR_INVALID_VALUE;
  ToldMap told{data, {}, {}, {}};
  std::memcpy(told.extents, extents, sizeof(told.extents));
  std::memcpy(told.strides_bytes, strides, sizeof(told.strides_bytes));
  std::memcpy(told.box, box, sizeof(told.box));
  static_assert(sizeof(told) <= sizeof(*made));
  std::memset(made, 0, sizeof(*made));
  std::memcpy(made, &told, sizeof(told));
  return CUDA_SUCCESS;
}

cudaError_t answer(const char* call, const char* symbol, void** function, cudaDriverEntryPointQueryResult* result) {
  driver().asked = call;
  const bool there = driver().has_function && std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = there ? reinterpret_cast<void*>(&encode_tiled) : nullptr;
  *result = there ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

}  // namespace

Driver& driver() {
  static Driver of_this_machine;
  return of_this_machine;
}

}  // namespace longstride::tests

extern "C" {

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult* result) {
  if (version != 12000 || flags != cudaEnableDefault) return cudaErrorInvalidValue;
  return longstride::tests::answer("by version", symbol, function, result);
}
cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* result) {
  if (flags != cudaEnableDefault) return cudaErrorInvalidValue;
  return longstride::tests::answer("by name", symbol, function, result);
}

}  // extern "C"
