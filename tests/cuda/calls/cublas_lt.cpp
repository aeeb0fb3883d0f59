// What of cuBLASLt cuda/product.cpp calls, on the host and by its documentation: matrices lie column by column, D =
// alpha op(A) op(B) + beta C, and a bias a row of D. It shows that the calls mean the products that are wanted; nothing
// else of the library is here.
#include "cublas_lt.h"

#include <cublasLt.h>

#include <cstdint>
#include <cstring>
#include <map>

#include "ops/tensor.h"

namespace {

struct Layout {
  cudaDataType type;
  std::uint64_t rows, cols;
  std::int64_t stride;

  double read(const void* data, std::int64_t r, std::int64_t c) const {
    const std::int64_t at = c * stride + r;
    if (type == CUDA_R_32F) return static_cast<const float*>(data)[at];
    return longstride::float_from_bfloat16(static_cast<const std::uint16_t*>(data)[at]);
  }
  void write(void* data, std::int64_t r, std::int64_t c, double x) const {
    const std::int64_t at = c * stride + r;
    if (type == CUDA_R_32F) static_cast<float*>(data)[at] = static_cast<float>(x);
    if (type == CUDA_R_16BF)
      static_cast<std::uint16_t*>(data)[at] = longstride::bfloat16_from_float(static_cast<float>(x));
  }
};
struct Product {
  cublasComputeType_t compute;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;  // (rows of D), of its type
};

const Layout& of(cublasLtMatrixLayout_t layout) { return *reinterpret_cast<const Layout*>(layout); }
template <class T>
cublasStatus_t take(T& to, const void* from, std::size_t bytes) {
  if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

bool& longstride::tests::knows_biases() {
  static bool knows = true;
  return knows;
}

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusString(cublasStatus_t) { return "a status"; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute, cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Product{compute});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  delete reinterpret_cast<Product*>(product);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t what,
                                              const void* value, std::size_t bytes) {
  auto* to = reinterpret_cast<Product*>(product);
  if (what == CUBLASLT_MATMUL_DESC_TRANSA) return take(to->a, value, bytes);
  if (what == CUBLASLT_MATMUL_DESC_TRANSB) return take(to->b, value, bytes);
  if (what == CUBLASLT_MATMUL_DESC_EPILOGUE) return take(to->epilogue, value, bytes);
  if (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER) return take(to->bias, value, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t cols, std::int64_t stride) {
  if (stride < static_cast<std::int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, cols, stride});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<Layout*>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t wishes) {
  delete reinterpret_cast<int*>(wishes);
  return CUBLAS_STATUS_SUCCESS;
}
// The width of each value is what the documentation says.
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t what, const void*,
                                                    std::size_t bytes) {
  const std::map<cublasLtMatmulPreferenceAttributes_t, std::size_t> widths = {
      {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 8},   {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 4},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 4}, {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 4},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 4}, {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 4}};
  const auto known = widths.find(what);
  return known != widths.end() && known->second == bytes ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
// The bias's address says how it is aligned, and is not read.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const auto& how = *reinterpret_cast<const Product*>(product);
  *found = 0;
  if (how.epilogue == CUBLASLT_EPILOGUE_BIAS && (how.bias == nullptr || !longstride::tests::knows_biases()))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t of_a, const void* b, cublasLtMatrixLayout_t of_b, const void* beta,
                              const void* c, cublasLtMatrixLayout_t of_c, void* d, cublasLtMatrixLayout_t of_d,
                              const cublasLtMatmulAlgo_t* algorithm, void*, std::size_t, cudaStream_t) {
  const auto& how = *reinterpret_cast<const Product*>(product);
  const Layout &A = of(of_a), &B = of(of_b), &C = of(of_c), &D = of(of_d);
  const std::uint64_t rows = how.a == CUBLAS_OP_N ? A.rows : A.cols, inner = how.a == CUBLAS_OP_N ? A.cols : A.rows;
  const std::uint64_t cols = how.b == CUBLAS_OP_N ? B.cols : B.rows, other = how.b == CUBLAS_OP_N ? B.rows : B.cols;
  if (algorithm == nullptr || inner != other || D.rows != rows || D.cols != cols || C.rows != rows || C.cols != cols)
    return CUBLAS_STATUS_INVALID_VALUE;
  const bool biased = how.epilogue == CUBLASLT_EPILOGUE_BIAS;
  if (biased && (how.bias == nullptr || D.type != CUDA_R_32F)) return CUBLAS_STATUS_INVALID_VALUE;
  const float by = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows); ++i) {
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(cols); ++j) {
      double sum = kept == 0 ? 0 : kept * C.read(c, i, j);
      for (std::int64_t k = 0; k < static_cast<std::int64_t>(inner); ++k)
        sum += by * (how.a == CUBLAS_OP_N ? A.read(a, i, k) : A.read(a, k, i)) *
               (how.b == CUBLAS_OP_N ? B.read(b, k, j) : B.read(b, j, k));
      D.write(d, i, j, biased ? sum + how.bias[i] : sum);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
