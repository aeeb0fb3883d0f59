// Layer norm with the residual addition and dropout, and its backward twin: a warp a row, a lane four neighbouring columns
// at a time.
#include "cuda/column_sums.h"
#include "cuda/dropout.h"
#include "cuda/launch.h"
#include "cuda/operations.h"
#include "cuda/reduce.h"

namespace longstride::cuda {

namespace {

constexpr int kRowsOfBlock = 4;  // a warp each
constexpr int kNeighbours = 4;   // a block of philox

// visit(c) of this lane's columns, in ascending order.
template <class Block, class Visit>
LONGSTRIDE_DEVICE void each_column(Block& block, std::int64_t C, const Visit& visit) {
  for (std::int64_t first = std::int64_t{block.lane()} * kNeighbours; first < C; first += kWarp * kNeighbours) {
    LONGSTRIDE_UNROLL
    for (int n = 0; n < kNeighbours; ++n)
      if (first + n < C) visit(first + n);
  }
}

template <class A>
struct NormRows {
  static constexpr int kThreads = kRowsOfBlock * kWarp;
  std::int64_t N, C;
  Rows<float> h_in;
  Rows<A> branch;
  DropoutFactors dropout;
  Rows<float> h_out;
  const float *weight, *bias;
  float eps;
  Rows<A> y;
  float *mean, *rstd;

  std::size_t shared_bytes() const { return 0; }

  // h_out of a row, this lane's columns. Their sum.
  template <class Block>
  LONGSTRIDE_DEVICE float add_branch(Block& block, std::int64_t r) const {
    const float* from = h_in.row(r);
    RowFactors factors(dropout, r, C);
    float sum = 0;
    each_column(block, C, [&](std::int64_t c) {
      float h = from[c];
      if (branch.data != nullptr) h += to_float(branch.at(r, c)) * factors.at(c);
      if (h_out.data != nullptr) h_out.at(r, c) = h;
      sum += h;
    });
    return sum;
  }

  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kRowsOfBlock + block.warp();
    if (r >= N) return;  // the whole warp
    const float sum = reduce_warp(block, add_branch(block, r), Add());
    const float shift = sum / static_cast<float>(C);
    const float* h = h_out.data != nullptr ? h_out.row(r) : h_in.row(r);
    float squares = 0;
    each_column(block, C, [&](std::int64_t c) { squares = fma(h[c] - shift, h[c] - shift, squares); });
    squares = reduce_warp(block, squares, Add());
    const float factor = 1 / sqrt(squares / static_cast<float>(C) + eps);
    each_column(block, C, [&](std::int64_t c) {
      y.at(r, c) = from_float<A>(fma((h[c] - shift) * factor, weight[c], bias[c]));
    });
    if (block.lane() == 0) {
      mean[r] = shift;
      rstd[r] = factor;
    }
  }
};

// dh = dh_out + rstd * (g - mean_c(g) - xhat * mean_c(g * xhat)), g = dy * weight;  dbranch = dropout mask * dh
template <class A>
struct NormRowsBackward {
  static constexpr int kThreads = kRowsOfBlock * kWarp;
  std::int64_t N, C;
  Rows<A> dy;
  Rows<float> h;
  const float *mean, *rstd, *weight;
  Rows<float> dh_out, dh;
  Rows<A> dbranch;
  DropoutFactors dropout;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kRowsOfBlock + block.warp();
    if (r >= N) return;  // the whole warp
    const float shift = mean[r], factor = rstd[r];
    float g_sum = 0, gx_sum = 0;
    each_column(block, C, [&](std::int64_t c) {
      const float g = to_float(dy.at(r, c)) * weight[c];
      g_sum += g;
      gx_sum = fma(g, (h.at(r, c) - shift) * factor, gx_sum);
    });
    const float g_mean = reduce_warp(block, g_sum, Add()) / static_cast<float>(C);
    const float gx_mean = reduce_warp(block, gx_sum, Add()) / static_cast<float>(C);
    RowFactors factors(dropout, r, C);
    each_column(block, C, [&](std::int64_t c) {
      const float g = to_float(dy.at(r, c)) * weight[c];
      const float xhat = (h.at(r, c) - shift) * factor;
      float d = factor * (g - g_mean - xhat * gx_mean);
      if (dh_out.data != nullptr) d += dh_out.at(r, c);
      dh.at(r, c) = d;
      if (dbranch.data != nullptr) dbranch.at(r, c) = from_float<A>(d * factors.at(c));
    });
  }
};

// dweight: sum_n dy * xhat, columns [0, C); dbias: sum_n dy, columns [C, 2 C).
template <class A>
struct NormTerm {
  std::int64_t C;
  Rows<A> dy;
  Rows<float> h;
  const float *mean, *rstd;

  LONGSTRIDE_DEVICE float operator()(std::int64_t r, std::int64_t column) const {
    if (column >= C) return to_float(dy.at(r, column - C));
    return to_float(dy.at(r, column)) * ((h.at(r, column) - mean[r]) * rstd[r]);
  }
};

template <class A>
void norm(const Run& run, const ResidualNorm& op) {
  const std::int64_t N = op.h_in.rows;
  launch(run.stream(),
         NormRows<A>{N, op.h_in.cols, rows_of<float>(op.h_in), rows_of<A>(op.branch),
                     factors_of(op.dropout, static_cast<bool>(op.branch), run.inputs), rows_of<float>(op.h_out),
                     op.weight.data, op.bias.data, op.eps, rows_of<A>(op.y), op.mean.data, op.rstd.data},
         {divide_up(N, kRowsOfBlock)});
}

// The sums come first: dh may be h, and dbranch dy.
template <class A>
void norm_backward(const Run& run, const ResidualNormBackward& op) {
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  const NormTerm<A> term{C, rows_of<A>(op.dy), rows_of<float>(op.h), op.mean.data, op.rstd.data};
  add_column_sums(run.stream(), N, 2 * C, term, {op.dweight.data, C, op.dbias.data}, run.scratch);
  launch(run.stream(),
         NormRowsBackward<A>{N, C, rows_of<A>(op.dy), rows_of<float>(op.h), op.mean.data, op.rstd.data, op.weight.data,
                             rows_of<float>(op.dh_out), rows_of<float>(op.dh), rows_of<A>(op.dbranch),
                             factors_of(op.dropout, static_cast<bool>(op.dbranch), run.inputs)},
         {divide_up(N, kRowsOfBlock)});
}

}  // namespace

std::int64_t scratch_bytes(const ResidualNormBackward& op) { return column_sums_bytes(op.dy.rows, 2 * op.dy.cols); }

void compute(const Run& run, const ResidualNorm& op) {
  op.y.type == DType::float32 ? norm<float>(run, op) : norm<bf16>(run, op);
}
void compute(const Run& run, const ResidualNormBackward& op) {
  op.dy.type == DType::float32 ? norm_backward<float>(run, op) : norm_backward<bf16>(run, op);
}

}  // namespace longstride::cuda
