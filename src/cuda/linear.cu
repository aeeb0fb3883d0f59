// Linear and its backward twins: products, and what comes after them in kernels of their own, each one pass over
// memory.
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

// adds: the sums lack the bias, and are not in their place in `pre` yet.
template <class A, class Y>
void finish(const Run& run, const Linear& op, const Rows<float>& sums, std::int64_t first, std::int64_t count,
            bool adds) {
  const Matrix pre = op.pre && adds ? op.pre.rows_from(first, count) : Matrix(), y = op.y.rows_from(first, count);
  launch_each(run.stream(), count, y.cols,
              Finish<A, Y>{sums, adds ? op.bias.data : nullptr, op.activation == Activation::gelu_sigmoid,
                           rows_of<A>(pre), rows_of<Y>(y)});
}

// dx f'(pre), rounded to A;  f'(x) = s (1 + 1.702 x (1 - s)), s = sigmoid(1.702 x)
template <class A>
LONGSTRIDE_DEVICE A times_slope(A dx, A pre) {
  const float t = to_float(pre) * 1.702f, s = sigmoid(t);
  return from_float<A>(to_float(dx) * (s * fma(t, 1 - s, 1.0f)));
}

// dx *= f'(pre)
template <class A>
struct MultiplySlope {
  Rows<A> pre, dx;

  LONGSTRIDE_DEVICE void operator()(std::int64_t r, std::int64_t c) const {
    dx.at(r, c) = times_slope(dx.at(r, c), pre.at(r, c));
  }
};

// The same, and what SumChunk makes of the result, in its order. Rows are fetched several at a time, as what is written
// would keep the fetches behind it.
template <class A>
struct MultiplySlopeAndSum {
  static constexpr int kThreads = 128, kAtOnce = 8;
  Rows<A> pre, dx;
  std::int64_t rows, columns, chunk_rows;
  float* sums;  // (chunks, columns)

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t chunk = block.index().x;
    const std::int64_t c = std::int64_t{block.index().y} * kThreads + block.thread();
    if (c >= columns) return;
    const std::int64_t end = min(rows, (chunk + 1) * chunk_rows);
    float sum = 0;
    for (std::int64_t first = chunk * chunk_rows; first < end; first += kAtOnce) {
      A gradients[kAtOnce] = {}, inputs[kAtOnce] = {};
      LONGSTRIDE_UNROLL
      for (int e = 0; e < kAtOnce; ++e)
        if (first + e < end) gradients[e] = dx.at(first + e, c), inputs[e] = pre.at(first + e, c);
      LONGSTRIDE_UNROLL
      for (int e = 0; e < kAtOnce; ++e)
        if (first + e < end) {
          const A made = times_slope(gradients[e], inputs[e]);
          dx.at(first + e, c) = made;
          sum += to_float(made);
        }
    }
    sums[chunk * columns + c] = sum;
  }
};

template <class A>
void multiply_slope(const Run& run, const LinearBackwardData& op, const Array<float>& dbias) {
  const std::int64_t N = op.dx.rows, K = op.dx.cols;
  const MultiplySlope<A> slope{rows_of<A>(op.pre), rows_of<A>(op.dx)};
  if (!dbias) return launch_each(run.stream(), N, K, slope);
  const std::int64_t chunk_rows = rows_of_chunk(N);
  auto* sums = reinterpret_cast<float*>(run.scratch);
  using Kernel = MultiplySlopeAndSum<A>;
  launch(run.stream(), Kernel{slope.pre, slope.dx, N, K, chunk_rows, sums},
         {divide_up(N, chunk_rows), divide_up(K, Kernel::kThreads)});
  add_chunks(run.stream(), N, K, sums, {dbias.data, dbias.count, nullptr});
}

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
    ProductShape shape = shape_of(op, N, DType::float32, kept.stride);
    shape.biased = static_cast<bool>(op.bias);
    if (op.bias && !run.products.can_add_bias(shape, op.x.data, op.w.data, kept.data, op.bias.data))
      shape.biased = false;
    run.multiply(shape, op.x.data, op.w.data, kept.data, op.bias.data);
    const bool lacks_bias = op.bias && !shape.biased;
    if (lacks_bias || op.activation != Activation::none || op.pre)
      finish<float, float>(run, op, rows_of<float>(kept), 0, N, lacks_bias);
    return;
  }
  const std::int64_t most = rows_at_once(N, M);
  const Rows<float> sums{reinterpret_cast<float*>(run.scratch), M};
  for (std::int64_t first = 0; first < N; first += most) {
    const std::int64_t count = std::min(most, N - first);
    run.multiply(shape_of(op, count, DType::float32, M), op.x.rows_from(first, count).data, op.w.data, sums.data);
    op.y.type == DType::float32 ? finish<bf16, float>(run, op, sums, first, count, true)
                                : finish<bf16, bf16>(run, op, sums, first, count, true);
  }
}

std::int64_t scratch_bytes(const LinearBackwardData& op, bool sums) {
  return sums ? column_sums_bytes(op.dx.rows, op.dx.cols) : 0;
}

// dx = (dy W) * f'(pre);  dbias += sum_n dx
void compute(const Run& run, const LinearBackwardData& op, const Array<float>& dbias) {
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
  op.dx.type == DType::float32 ? multiply_slope<float>(run, op, dbias) : multiply_slope<bf16>(run, op, dbias);
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
