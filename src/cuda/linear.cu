// Linear and its backward twins: products, and what comes after them in kernels of their own.
#include <algorithm>

#include "cuda/column_sums.h"
#include "cuda/launch.h"
#include "cuda/operations.h"

namespace longstride::cuda {

namespace {

// Floats of a product's sums that wait for bias and activation where its result is bfloat16: 64 MiB, so that what comes
// after still finds much of them in the card's cache, and products of them are large enough to be fast.
constexpr std::int64_t kMostSums = std::int64_t{1} << 24;

std::int64_t rows_at_once(std::int64_t N, std::int64_t M) {
  constexpr std::int64_t kTile = 128;
  return std::min(N, std::max(kTile, kMostSums / M / kTile * kTile));
}

// Where x W^T + bias is kept, and in which type: as the backward pass, which may compute it again, finds it.
const Matrix& kept_in(const Linear& op) { return op.pre ? op.pre : op.y; }
// Whether the product is what is wanted.
bool is_bare(const Linear& op) { return !op.bias && !op.pre && op.activation == Activation::none; }
// Whether sums wait in scratch memory: a bias is added to what was not rounded.
bool waits(const Linear& op) { return !is_bare(op) && kept_in(op).type == DType::bfloat16; }

ProductShape shape_of(const Linear& op, std::int64_t rows, DType type, std::int64_t stride) {
  return {.m = rows,
          .n = op.w.rows,
          .k = op.w.cols,
          .type = op.x.type,
          .c_type = type,
          .a_stride = op.x.stride,
          .b_stride = op.w.stride,
          .c_stride = stride,
          .b_transposed = true};
}

LONGSTRIDE_DEVICE float sigmoid(float x) { return 1 / (1 + exp(-x)); }

// pre = sums + bias, rounded to A; y = f(pre)
template <class A, class Y>
struct Finish {
  Rows<float> sums;
  const float* bias;
  bool activate;
  Rows<A> pre;
  Rows<Y> y;

  LONGSTRIDE_DEVICE void operator()(std::int64_t r, std::int64_t c) const {
    float x = sums.at(r, c);
    if (bias != nullptr) x += bias[c];
    const A kept = from_float<A>(x);
    if (pre.data != nullptr) pre.at(r, c) = kept;
    x = to_float(kept);
    y.at(r, c) = from_float<Y>(activate ? x * sigmoid(1.702f * x) : x);
  }
};

template <class A, class Y>
void finish(const Run& run, const Linear& op, const Rows<float>& sums, std::int64_t first, std::int64_t count) {
  const Matrix pre = op.pre ? op.pre.rows_from(first, count) : Matrix(), y = op.y.rows_from(first, count);
  launch_each(run.stream(), count, y.cols,
              Finish<A, Y>{sums, op.bias.data, op.activation == Activation::gelu_sigmoid, rows_of<A>(pre), rows_of<Y>(y)});
}

// dx *= f'(pre);  f'(x) = s (1 + 1.702 x (1 - s)), s = sigmoid(1.702 x)
template <class A>
struct MultiplySlope {
  Rows<A> pre, dx;

  LONGSTRIDE_DEVICE void operator()(std::int64_t r, std::int64_t c) const {
    const float t = to_float(pre.at(r, c)) * 1.702f, s = sigmoid(t);
    dx.at(r, c) = from_float<A>(to_float(dx.at(r, c)) * (s * fma(t, 1 - s, 1.0f)));
  }
};

template <class A>
struct RowTerm {
  Rows<A> rows;
  LONGSTRIDE_DEVICE float operator()(std::int64_t r, std::int64_t c) const { return to_float(rows.at(r, c)); }
};

template <class A>
void add_bias_gradient(const Run& run, const LinearBackwardWeights& op) {
  add_column_sums(run.stream(), op.dy.rows, op.dy.cols, RowTerm<A>{rows_of<A>(op.dy)},
                  {op.dbias.data, op.dbias.count, nullptr}, run.scratch);
}

}  // namespace

std::int64_t scratch_bytes(const Linear& op) {
  return waits(op) ? rows_at_once(op.x.rows, op.w.rows) * op.w.rows * 4 : 0;
}

void compute(const Run& run, const Linear& op) {
  const std::int64_t N = op.x.rows, M = op.w.rows;
  const Matrix& kept = kept_in(op);
  if (is_bare(op)) return run.multiply(shape_of(op, N, op.y.type, op.y.stride), op.x.data, op.w.data, op.y.data);
  if (!waits(op)) {
    run.multiply(shape_of(op, N, DType::float32, kept.stride), op.x.data, op.w.data, kept.data);
    return finish<float, float>(run, op, rows_of<float>(kept), 0, N);
  }
  const std::int64_t most = rows_at_once(N, M);
  const Rows<float> sums{reinterpret_cast<float*>(run.scratch), M};
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t count = std::min(most, N - first);
    run.multiply(shape_of(op, count, DType::float32, M), op.x.rows_from(first, count).data, op.w.data, sums.data);
    op.y.type == DType::float32 ? finish<bf16, float>(run, op, sums, first, count)
                                : finish<bf16, bf16>(run, op, sums, first, count);
  }
}

// dx = (dy W) * f'(pre)
void compute(const Run& run, const LinearBackwardData& op) {
  const std::int64_t N = op.dy.rows, K = op.w.cols;
  run.multiply({.m = N,
                .n = K,
                .k = op.w.rows,
                .type = op.dy.type,
                .c_type = op.dx.type,
                .a_stride = op.dy.stride,
                .b_stride = op.w.stride,
                .c_stride = op.dx.stride},
               op.dy.data, op.w.data, op.dx.data);
  if (!op.pre) return;
  if (op.dx.type == DType::float32)
    launch_each(run.stream(), N, K, MultiplySlope<float>{rows_of<float>(op.pre), rows_of<float>(op.dx)});
  else
    launch_each(run.stream(), N, K, MultiplySlope<bf16>{rows_of<bf16>(op.pre), rows_of<bf16>(op.dx)});
}

std::int64_t scratch_bytes(const LinearBackwardWeights& op) {
  return op.dbias ? column_sums_bytes(op.dy.rows, op.dy.cols) : 0;
}

// dw += dy^T x;  dbias += sum_n dy
void compute(const Run& run, const LinearBackwardWeights& op) {
  run.multiply({.m = op.dw.rows,
                .n = op.dw.cols,
                .k = op.dy.rows,
                .type = op.dy.type,
                .c_type = DType::float32,
                .a_stride = op.dy.stride,
                .b_stride = op.x.stride,
                .c_stride = op.dw.stride,
                .a_transposed = true,
                .accumulate = true},
               op.dy.data, op.x.data, op.dw.data);
  if (!op.dbias) return;
  op.dy.type == DType::float32 ? add_bias_gradient<float>(run, op) : add_bias_gradient<bf16>(run, op);
}

}  // namespace longstride::cuda
