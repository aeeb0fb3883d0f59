// This has cuBLASLt multiply. It counts in columns: what lies row-major as (r, c) is a matrix of c rows and r columns
// to it, and C = A B becomes C^T = B^T A^T.
#include "cuda/product.h"

#include <cublasLt.h>
#include <fmt/format.h>

#include <algorithm>

#include "longstride/error.h"

namespace longstride::cuda {

namespace {

// What Hopper's algorithms want at most (the documentation of cublasSetWorkspace); more is of no use to others.
constexpr std::int64_t kWorkspace_bytes = 32 << 20;

void succeed(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ErrorKind kind = status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorKind::exhausted : ErrorKind::unavailable;
  throw Error(kind, fmt::format("cuda: cuBLASLt: {} failed: {}", what, cublasLtGetStatusString(status)));
}

cudaDataType type_of(DType type) { return type == DType::float32 ? CUDA_R_32F : CUDA_R_16BF; }
cublasLtHandle_t handle_of(void* handle) { return static_cast<cublasLtHandle_t>(handle); }

std::uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 16;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

template <class T>
void set(cublasLtMatmulDesc_t of, cublasLtMatmulDescAttributes_t what, T value) {
  succeed(cublasLtMatmulDescSetAttribute(of, what, &value, sizeof(value)), "an attribute of a product");
}
template <class T>
void set(cublasLtMatmulPreference_t of, cublasLtMatmulPreferenceAttributes_t what, T value) {
  succeed(cublasLtMatmulPreferenceSetAttribute(of, what, &value, sizeof(value)), "a wish for a product");
}

// What lies there as rows of `cols`.
cublasLtMatrixLayout_t layout(DType type, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  succeed(cublasLtMatrixLayoutCreate(&made, type_of(type), static_cast<std::uint64_t>(cols),
                                     static_cast<std::uint64_t>(rows), stride),
          "a layout");
  return made;
}

}  // namespace

struct Products::Made {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};
  bool can_run = false;  // cuBLASLt knows an algorithm

  explicit Made(const ProductShape& s) {
    succeed(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    // B^T comes first. What lies there as (n, k) is B^T's transpose to cuBLASLt, and so on.
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, s.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, s.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    a = s.a_transposed ? layout(s.type, s.k, s.m, s.a_stride) : layout(s.type, s.m, s.k, s.a_stride);
    b = s.b_transposed ? layout(s.type, s.n, s.k, s.b_stride) : layout(s.type, s.k, s.n, s.b_stride);
    c = layout(s.c_type, s.m, s.n, s.c_stride);
    if (s.biased) set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  }
  ~Made() {
    for (cublasLtMatrixLayout_t one : {a, b, c})
      if (one != nullptr) cublasLtMatrixLayoutDestroy(one);
    if (product != nullptr) cublasLtMatmulDescDestroy(product);
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  // Sums that are cut along k are added in float32, in a fixed order. What a bias is aligned to is read off an address.
  void choose(cublasLtHandle_t handle, const ProductShape& s, const Aligned& aligned) {
    if (s.biased) set_bias(reinterpret_cast<const float*>(std::uintptr_t{aligned[3]}));
    struct Wishes {
      cublasLtMatmulPreference_t made = nullptr;
      Wishes() { succeed(cublasLtMatmulPreferenceCreate(&made), "a wish for a product"); }
      ~Wishes() { cublasLtMatmulPreferenceDestroy(made); }
    } wishes;
    set(wishes.made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kWorkspace_bytes));
    set(wishes.made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(wishes.made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[1]);  // B comes first
    set(wishes.made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[0]);
    set(wishes.made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]);
    set(wishes.made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[2]);
    cublasLtMatmulHeuristicResult_t best = {};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, product, b, a, c, c, wishes.made, 1, &best, &found);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && !s.biased) succeed(status, "the choice of an algorithm");
    can_run = status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    algorithm = best.algo;
  }
  void set_bias(const float* bias) const { set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias); }
};

Products::Products() {
  cublasLtHandle_t made = nullptr;
  succeed(cublasLtCreate(&made), "its start");
  handle_ = made;
}
Products::~Products() {
  made_.clear();
  cublasLtDestroy(handle_of(handle_));
}

std::int64_t Products::workspace_bytes() { return kWorkspace_bytes; }

const Products::Made& Products::made(const ProductShape& shape, const Aligned& aligned) {
  std::unique_ptr<Made>& made = made_[{shape, aligned}];
  if (made == nullptr) {
    auto prepared = std::make_unique<Made>(shape);
    prepared->choose(handle_of(handle_), shape, aligned);
    made = std::move(prepared);
  }
  return *made;
}

bool Products::can_add_bias(const ProductShape& shape, const void* a, const void* b, const void* c, const float* bias) {
  return made(shape, {alignment_of(a), alignment_of(b), alignment_of(c), alignment_of(bias)}).can_run;
}

void Products::run(Stream& stream, const ProductShape& shape, const void* a, const void* b, void* c, const float* bias,
                   void* workspace) {
  const Made& product =
      made(shape, {alignment_of(a), alignment_of(b), alignment_of(c), alignment_of(shape.biased ? bias : nullptr)});
  if (!product.can_run)
    throw Error(ErrorKind::unavailable, fmt::format("cuda: cuBLASLt knows no algorithm for a product of ({}, {}) by "
                                                    "({}, {})",
                                                    shape.m, shape.k, shape.k, shape.n));
  if (shape.biased) product.set_bias(bias);
  const float one = 1, kept = shape.accumulate ? 1 : 0;
  succeed(cublasLtMatmul(handle_of(handle_), product.product, &one, b, product.b, a, product.a, &kept, c, product.c, c,
                         product.c, &product.algorithm, workspace, static_cast<std::size_t>(kWorkspace_bytes),
                         static_cast<cudaStream_t>(stream.handle)),
          "a product");
}

}  // namespace longstride::cuda
