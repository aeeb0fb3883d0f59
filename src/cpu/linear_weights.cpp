// dw += dy^T x, dbias += sum_n dy: tiles of dw run side by side, each sums its rows in chunks, in ascending order.
// Where tiles are few, the rows are cut into segments besides, whose sums are added in ascending order at the end.
#include <omp.h>

#include <algorithm>

#include "cpu/linear.h"
#include "cpu/linear_kernels.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

// A chunk of 1024 rows of 256 columns is 512 KiB in bfloat16: it stays in the L2 cache for the sum of its columns.
// Measured with oneDNN 2.6.3: such tiles reach what one product of the whole does, those of 128 rows 0.9 to 0.95 of it.
constexpr std::int64_t kRows = 1024;
constexpr std::int64_t kTileM = 256;
constexpr std::int64_t kTileK = 512;
constexpr std::int64_t kFewTiles = 6;      // fewer than these are halved
constexpr std::int64_t kEnoughTasks = 12;  // for the cores of one processor, at little memory for the segments' sums

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

class WeightsProduct {
 public:
  WeightsProduct(const LinearBackwardWeights& op, Products& products, Workspace* workspace)
      : op_(op),
        N_(op.dy.rows),
        M_(op.dw.rows),
        K_(op.dw.cols),
        tile_m_(std::min(kTileM, M_)),
        tile_k_(std::min(kTileK, K_)) {
    across_ = divide_up(K_, tile_k_);
    if (divide_up(M_, tile_m_) * across_ < kFewTiles) tile_m_ = std::min(kTileM / 2, M_);
    down_ = divide_up(M_, tile_m_);
    const std::int64_t chunks = divide_up(N_, kRows);
    segment_rows_ = divide_up(chunks, std::min(chunks, divide_up(kEnoughTasks, down_ * across_))) * kRows;
    segments_ = divide_up(N_, segment_rows_);
    widened_ = op.dy.type == DType::bfloat16 && !native_bfloat16_products();
    for (int i = 0; i < 8; ++i) make(i, products);
    const std::int64_t rows = std::min(kRows, N_);
    dy_bytes_ = widened_ ? Workspace::rounded(rows * tile_m_ * 4) : 0;
    x_bytes_ = widened_ ? Workspace::rounded(rows * tile_k_ * 4) : 0;
    thread_bytes_ = scratch_bytes_ + dy_bytes_ + x_bytes_;
    sums_count_ = Workspace::rounded((M_ * op.dw.stride + M_) * 4) / 4;
    if (workspace == nullptr) return;
    memory_ = static_cast<char*>(workspace->take(threads() * thread_bytes_));
    sums_ = workspace->floats((segments_ - 1) * sums_count_);
  }

  std::int64_t bytes() const { return threads() * thread_bytes_ + (segments_ - 1) * sums_count_ * 4; }

  bool run() const {
    bool ran = true;
#pragma omp parallel num_threads(threads()) reduction(&& : ran)
    {
      const OneThread one;
      const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < segments_ * down_ * across_; ++task)
        ran = tile(thread, task / (down_ * across_), task / across_ % down_, task % across_) && ran;
#pragma omp for schedule(static)
      for (std::int64_t m = 0; m < M_; ++m) add_segments(m);
    }
    return ran;
  }

 private:
  // The product of a tile that is cut (1) or not (0) in rows, M and K: bits 0, 1 and 2 of `cut`.
  void make(int cut, Products& products) {
    ProductShape shape;
    shape.k = (cut & 1) ? N_ % kRows : kRows;
    shape.m = (cut & 2) ? M_ % tile_m_ : tile_m_;
    shape.n = (cut & 4) ? K_ % tile_k_ : tile_k_;
    if (shape.m == 0 || shape.n == 0 || shape.k == 0 || shape.k > N_) return;
    shape.type = widened_ ? DType::float32 : op_.dy.type;
    shape.a_row = 1;
    shape.a_column = widened_ ? shape.m : op_.dy.stride;
    shape.b_row = widened_ ? shape.n : op_.x.stride;
    shape.c_row = op_.dw.stride;
    shape.accumulate = true;
    products_[cut] = &products.find(shape);
    scratch_bytes_ = std::max(scratch_bytes_, Workspace::rounded(products_[cut]->scratch_bytes()));
  }

  static void widen(const Matrix& from, float* to) {
    for (std::int64_t r = 0; r < from.rows; ++r)
      linear_kernels().widen(from.bf16() + r * from.stride, to + r * from.cols, from.cols);
  }

  // Segment 0 adds to dw and dbias themselves, the others to sums of their own.
  float* dw_of(std::int64_t segment) const { return segment == 0 ? op_.dw.f32() : sums_ + (segment - 1) * sums_count_; }
  float* dbias_of(std::int64_t segment) const {
    return segment == 0 || op_.dbias == nullptr ? op_.dbias : dw_of(segment) + M_ * op_.dw.stride;
  }

  void add_segments(std::int64_t m) const {
    for (std::int64_t segment = 1; segment < segments_; ++segment) {
      const float* from = dw_of(segment) + m * op_.dw.stride;
      float* to = op_.dw.f32() + m * op_.dw.stride;
      for (std::int64_t k = 0; k < K_; ++k) to[k] += from[k];
      if (op_.dbias != nullptr) op_.dbias[m] += dbias_of(segment)[m];
    }
  }

  bool tile(int thread, std::int64_t segment, std::int64_t down, std::int64_t across) const {
    char* scratch = memory_ + thread * thread_bytes_;
    const std::int64_t m0 = down * tile_m_, k0 = across * tile_k_;
    const std::int64_t m = std::min(tile_m_, M_ - m0), k = std::min(tile_k_, K_ - k0);
    float* dw = dw_of(segment) + m0 * op_.dw.stride + k0;
    float* dbias = op_.dbias != nullptr && across == 0 ? dbias_of(segment) + m0 : nullptr;
    for (std::int64_t r = 0; r < m && segment > 0; ++r) std::fill_n(dw + r * op_.dw.stride, k, 0.0f);
    if (dbias != nullptr && segment > 0) std::fill_n(dbias, m, 0.0f);
    bool ran = true;
    const std::int64_t last = std::min(N_, (segment + 1) * segment_rows_);
    for (std::int64_t first = segment * segment_rows_; first < last; first += kRows) {
      const std::int64_t rows = std::min(kRows, N_ - first);
      const Matrix dy = op_.dy.columns(m0, m).rows_from(first, rows);
      const Matrix x = op_.x.columns(k0, k).rows_from(first, rows);
      const int cut = (rows < kRows ? 1 : 0) | (m < tile_m_ ? 2 : 0) | (k < tile_k_ ? 4 : 0);
      const void* a = dy.data;
      const void* b = x.data;
      if (widened_) {
        auto* wide_dy = reinterpret_cast<float*>(scratch + scratch_bytes_);
        auto* wide_x = reinterpret_cast<float*>(scratch + scratch_bytes_ + dy_bytes_);
        widen(dy, wide_dy);
        widen(x, wide_x);
        a = wide_dy;
        b = wide_x;
      }
      ran = products_[cut]->run(thread, a, b, dw, nullptr, scratch) && ran;
      if (dbias != nullptr)
        linear_kernels().column_sums(dy.data, dy.type == DType::bfloat16, dy.stride, rows, m, dbias);
    }
    return ran;
  }

  const LinearBackwardWeights& op_;
  std::int64_t N_, M_, K_;
  std::int64_t tile_m_, tile_k_;
  std::int64_t down_ = 0, across_ = 0, segments_ = 0;  // their numbers
  std::int64_t segment_rows_ = 0;                      // a multiple of kRows
  bool widened_ = false;
  Product* products_[8] = {};
  std::int64_t scratch_bytes_ = 0, dy_bytes_ = 0, x_bytes_ = 0, thread_bytes_ = 0;
  char* memory_ = nullptr;       // thread_bytes_ a thread
  std::int64_t sums_count_ = 0;  // floats a segment: dw (M, stride of dw), dbias (M)
  float* sums_ = nullptr;
};

}  // namespace

void linear_backward_weights(const LinearBackwardWeights& op, Products& products, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  check_ran("linear_backward_weights", WeightsProduct(op, products, &workspace).run());
}

std::int64_t linear_backward_weights_workspace_bytes(const LinearBackwardWeights& op, Products& products) {
  return WeightsProduct(op, products, nullptr).bytes();
}

}  // namespace longstride
