// dw += dy^T x, dbias += sum_n dy: tiles of dw run side by side, each sums its rows in chunks, in ascending order.
#include <omp.h>

#include <algorithm>

#include "cpu/linear.h"
#include "cpu/linear_kernels.h"
#include "cpu/threads.h"

namespace longstride {

namespace {

// A chunk of 1024 rows of 256 columns is 512 KiB in bfloat16: it stays in the L2 cache for the sum of its columns.
// Measured with oneDNN 2.6.3: such tiles reach what one product of the whole does.
constexpr std::int64_t kRows = 1024;
constexpr std::int64_t kTileK = 512;
constexpr std::int64_t kTileM[] = {256, 128, 64};
constexpr std::int64_t kEnoughTiles = 8;  // smaller tiles are slower: only until there are so many

struct Tiles {
  std::int64_t m, k;          // size
  std::int64_t down, across;  // number
};

Tiles tiles_of(std::int64_t M, std::int64_t K) {
  Tiles tiles{};
  for (const std::int64_t m : kTileM) {
    tiles = {std::min(m, M), std::min(kTileK, K), (M + m - 1) / m, (K + kTileK - 1) / kTileK};
    if (tiles.down * tiles.across >= kEnoughTiles) break;
  }
  return tiles;
}

class WeightsProduct {
 public:
  WeightsProduct(const LinearBackwardWeights& op, Products& products, Workspace* workspace)
      : op_(op), N_(op.dy.rows), M_(op.dw.rows), K_(op.dw.cols), tiles_(tiles_of(M_, K_)) {
    widened_ = op.dy.type == DType::bfloat16 && !native_bfloat16_products();
    for (int i = 0; i < 8; ++i) make(i, products);
    const std::int64_t rows = std::min(kRows, N_);
    dy_bytes_ = widened_ ? Workspace::rounded(rows * tiles_.m * 4) : 0;
    x_bytes_ = widened_ ? Workspace::rounded(rows * tiles_.k * 4) : 0;
    thread_bytes_ = scratch_bytes_ + dy_bytes_ + x_bytes_;
    if (workspace != nullptr) memory_ = static_cast<char*>(workspace->take(bytes()));
  }

  std::int64_t bytes() const { return threads() * thread_bytes_; }

  bool run() const {
    bool ran = true;
#pragma omp parallel num_threads(threads()) reduction(&& : ran)
    {
      const OneThread one;
      const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
      for (std::int64_t index = 0; index < tiles_.down * tiles_.across; ++index)
        ran = tile(thread, index / tiles_.across, index % tiles_.across) && ran;
    }
    return ran;
  }

 private:
  // The product of a tile that is cut (1) or not (0) in rows, M and K: bits 0, 1 and 2 of `cut`.
  void make(int cut, Products& products) {
    ProductShape shape;
    shape.k = (cut & 1) ? N_ % kRows : kRows;
    shape.m = (cut & 2) ? M_ % tiles_.m : tiles_.m;
    shape.n = (cut & 4) ? K_ % tiles_.k : tiles_.k;
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

  bool tile(int thread, std::int64_t down, std::int64_t across) const {
    char* scratch = memory_ + thread * thread_bytes_;
    const std::int64_t m0 = down * tiles_.m, k0 = across * tiles_.k;
    const std::int64_t m = std::min(tiles_.m, M_ - m0), k = std::min(tiles_.k, K_ - k0);
    float* dw = op_.dw.f32() + m0 * op_.dw.stride + k0;
    bool ran = true;
    for (std::int64_t first = 0; first < N_; first += kRows) {
      const std::int64_t rows = std::min(kRows, N_ - first);
      const Matrix dy = op_.dy.columns(m0, m).rows_from(first, rows);
      const Matrix x = op_.x.columns(k0, k).rows_from(first, rows);
      const int cut = (rows < kRows ? 1 : 0) | (m < tiles_.m ? 2 : 0) | (k < tiles_.k ? 4 : 0);
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
      if (op_.dbias != nullptr && across == 0)
        linear_kernels().column_sums(dy.data, dy.type == DType::bfloat16, dy.stride, rows, m, op_.dbias + m0);
    }
    return ran;
  }

  const LinearBackwardWeights& op_;
  std::int64_t N_, M_, K_;
  Tiles tiles_;
  bool widened_ = false;
  Product* products_[8] = {};
  std::int64_t scratch_bytes_ = 0, dy_bytes_ = 0, x_bytes_ = 0, thread_bytes_ = 0;
  char* memory_ = nullptr;
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
