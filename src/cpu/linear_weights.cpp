// dw += dy^T x, dbias += sum_n dy: tiles of dw run side by side, each sums its rows in chunks, in ascending order.
// Where tiles are few, the rows are cut into segments besides, whose sums are added in ascending order at the end.
#include <omp.h>

#include <algorithm>

#include "cpu/linear.h"
#include "cpu/linear_kernels.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

// A chunk of 1024 rows of 256 columns is 512 KiB in bfloat16: it stays in the L2 cache for the sum of its columns.
// Measured with oneDNN 2.6.3: such tiles reach what one product of the whole does, those of 128 rows 0.9 to 0.95 of it.
constexpr std::int64_t kRows = 1024;
constexpr std::int64_t kTileM = 256;
constexpr std::int64_t kTileK = 512;
constexpr std::int64_t kFewTiles = 6;      // fewer than these are halved
constexpr std::int64_t kEnoughTasks = 12;  // for the cores of one processor, at little memory for the segments' sums

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

LinearWeights::LinearWeights(const LinearBackwardWeights& op, Products& products)
    : N_(op.dy.rows), M_(op.dw.rows), K_(op.dw.cols), tile_m_(std::min(kTileM, M_)), tile_k_(std::min(kTileK, K_)) {
  across_ = divide_up(K_, tile_k_);
  if (divide_up(M_, tile_m_) * across_ < kFewTiles) tile_m_ = std::min(kTileM / 2, M_);
  down_ = divide_up(M_, tile_m_);
  const std::int64_t chunks = divide_up(N_, kRows);
  segment_rows_ = divide_up(chunks, std::min(chunks, divide_up(kEnoughTasks, down_ * across_))) * kRows;
  segments_ = divide_up(N_, segment_rows_);
  widened_ = op.dy.type == DType::bfloat16 && !native_bfloat16_products();
  for (int i = 0; i < 8; ++i) make(i, op, products);
  const std::int64_t rows = std::min(kRows, N_);
  dy_bytes_ = widened_ ? Workspace::rounded(rows * tile_m_ * 4) : 0;
  x_bytes_ = widened_ ? Workspace::rounded(rows * tile_k_ * 4) : 0;
  sums_count_ = Workspace::rounded((M_ * op.dw.stride + M_) * 4) / 4;
}

// The product of a tile that is cut (1) or not (0) in rows, M and K: bits 0, 1 and 2 of `cut`.
void LinearWeights::make(int cut, const LinearBackwardWeights& op, Products& products) {
  ProductShape shape;
  shape.k = (cut & 1) ? N_ % kRows : kRows;
  shape.m = (cut & 2) ? M_ % tile_m_ : tile_m_;
  shape.n = (cut & 4) ? K_ % tile_k_ : tile_k_;
  if (shape.m == 0 || shape.n == 0 || shape.k == 0 || shape.k > N_) return;
  shape.type = widened_ ? DType::float32 : op.dy.type;
  shape.a_row = 1;
  shape.a_column = widened_ ? shape.m : op.dy.stride;
  shape.b_row = widened_ ? shape.n : op.x.stride;
  shape.c_row = op.dw.stride;
  shape.accumulate = true;
  products_[cut] = &products.find(shape);
  scratch_bytes_ = std::max(scratch_bytes_, Workspace::rounded(products_[cut]->scratch_bytes()));
}

std::int64_t LinearWeights::workspace_bytes() const {
  return threads() * thread_bytes() + (segments_ - 1) * sums_count_ * 4;
}

// One run: the operands, and memory for it.
struct LinearWeights::Run {
  const LinearWeights& made;
  const LinearBackwardWeights& op;
  char* memory;  // thread_bytes() a thread
  float* sums;   // of all segments but the first

  static void widen(const Matrix& from, float* to) {
    for (std::int64_t r = 0; r < from.rows; ++r)
      linear_kernels().widen(from.bf16() + r * from.stride, to + r * from.cols, from.cols);
  }

  // Segment 0 adds to dw and dbias themselves, the others to sums of their own.
  float* dw_of(std::int64_t segment) const {
    return segment == 0 ? op.dw.f32() : sums + (segment - 1) * made.sums_count_;
  }
  float* dbias_of(std::int64_t segment) const {
    return segment == 0 ? op.dbias.data : dw_of(segment) + made.M_ * op.dw.stride;
  }

  void add_segments(std::int64_t m) const {
    for (std::int64_t segment = 1; segment < made.segments_; ++segment) {
      const float* from = dw_of(segment) + m * op.dw.stride;
      float* to = op.dw.f32() + m * op.dw.stride;
      for (std::int64_t k = 0; k < made.K_; ++k) to[k] += from[k];
      if (op.dbias) op.dbias[m] += dbias_of(segment)[m];
    }
  }

  bool tile(int thread, std::int64_t segment, std::int64_t down, std::int64_t across) const {
    char* scratch = memory + thread * made.thread_bytes();
    const std::int64_t m0 = down * made.tile_m_, k0 = across * made.tile_k_;
    const std::int64_t m = std::min(made.tile_m_, made.M_ - m0), k = std::min(made.tile_k_, made.K_ - k0);
    float* dw = dw_of(segment) + m0 * op.dw.stride + k0;
    float* dbias = op.dbias && across == 0 ? dbias_of(segment) + m0 : nullptr;
    for (std::int64_t r = 0; r < m && segment > 0; ++r) std::fill_n(dw + r * op.dw.stride, k, 0.0f);
    if (dbias != nullptr && segment > 0) std::fill_n(dbias, m, 0.0f);
    bool ran = true;
    const std::int64_t last = std::min(made.N_, (segment + 1) * made.segment_rows_);
    for (std::int64_t first = segment * made.segment_rows_; first < last; first += kRows) {
      const std::int64_t rows = std::min(kRows, made.N_ - first);
      const Matrix dy = op.dy.columns(m0, m).rows_from(first, rows);
      const Matrix x = op.x.columns(k0, k).rows_from(first, rows);
      const int cut = (rows < kRows ? 1 : 0) | (m < made.tile_m_ ? 2 : 0) | (k < made.tile_k_ ? 4 : 0);
      const void* a = dy.data;
      const void* b = x.data;
      if (made.widened_) {
        auto* wide_dy = reinterpret_cast<float*>(scratch + made.scratch_bytes_);
        auto* wide_x = reinterpret_cast<float*>(scratch + made.scratch_bytes_ + made.dy_bytes_);
        widen(dy, wide_dy);
        widen(x, wide_x);
        a = wide_dy;
        b = wide_x;
      }
      ran = made.products_[cut]->run(thread, a, b, dw, nullptr, scratch) && ran;
      if (dbias != nullptr)
        linear_kernels().column_sums(dy.data, dy.type == DType::bfloat16, dy.stride, rows, m, dbias);
    }
    return ran;
  }

  bool all() const {
    const std::int64_t tiles = made.down_ * made.across_;
    bool ran = true;
#pragma omp parallel num_threads(team()) reduction(&& : ran)
    {
      const OneThread one;
      const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < made.segments_ * tiles; ++task)
        ran = tile(thread, task / tiles, task / made.across_ % made.down_, task % made.across_) && ran;
#pragma omp for schedule(static)
      for (std::int64_t m = 0; m < made.M_; ++m) add_segments(m);
    }
    return ran;
  }
};

void LinearWeights::run(const LinearBackwardWeights& op, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  auto* memory = static_cast<char*>(workspace.take(threads() * thread_bytes()));
  for (Product* product : products_)
    if (product != nullptr) product->prepare(threads());
  check_ran("linear_backward_weights", Run{*this, op, memory, workspace.floats((segments_ - 1) * sums_count_)}.all());
}

}  // namespace longstride::cpu
