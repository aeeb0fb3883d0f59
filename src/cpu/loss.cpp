// losses = logsumexp(logits) - logits[target], logits = x W^T; dlogits = gradient * (softmax - onehot), dx = dlogits W,
// dw += dlogits^T x. A block of rows at a time, so that (N, V) never exists.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "cpu/linear.h"
#include "cpu/linear_kernels.h"
#include "cpu/row_product.h"

namespace longstride {

namespace {

constexpr std::int64_t kMostRows = 4096;
constexpr std::int64_t kMostLogits = std::int64_t{1} << 23;  // 32 MiB a block, unless kChunkRows rows are more

// A multiple of kChunkRows, or N where that is less.
std::int64_t block_rows(const VocabularyLoss& op) {
  const std::int64_t fit = std::min(kMostRows, kMostLogits / op.w.rows) / kChunkRows * kChunkRows;
  return std::min(op.x.rows, std::max(kChunkRows, fit));
}

class LossBlocks {
 public:
  LossBlocks(const VocabularyLoss& op, Products& products, Workspace* workspace)
      : op_(op), products_(products), workspace_(workspace), V_(op.w.rows), rows_(block_rows(op)) {
    logits_ = matrix(take(rows_ * V_ * 4), DType::float32, rows_, V_);
    dlogits_ = logits_;
    if (op.dx && op.x.type == DType::bfloat16) dlogits_ = matrix(take(rows_ * V_ * 2), DType::bfloat16, rows_, V_);
    forward_.emplace(products, workspace, op.w, true, nullptr, op.x.rows, op.x.stride, DType::float32, V_);
    bytes_ += forward_->workspace_bytes();
    if (!op.dx) return;
    data_.emplace(products, workspace, op.w, false, nullptr, op.x.rows, V_, op.dx.type, op.dx.stride);
    bytes_ += data_->workspace_bytes();
  }

  std::int64_t workspace_bytes() const {
    std::int64_t weights = 0;
    if (op_.dx) {
      const std::int64_t rest = op_.x.rows % rows_;
      weights = linear_backward_weights_workspace_bytes(weights_of(0, rows_), products_);
      if (rest > 0)
        weights = std::max(weights, linear_backward_weights_workspace_bytes(weights_of(0, rest), products_));
    }
    return bytes_ + weights;
  }

  void run() {
    for (std::int64_t first = 0; first < op_.x.rows; first += rows_) {
      const std::int64_t count = std::min(rows_, op_.x.rows - first);
      const auto finish = [this, first](std::int64_t row, std::int64_t rows) {
        for (std::int64_t r = row; r < row + rows; ++r) finish_row(first + r, r);
      };
      check_ran("vocabulary_loss",
                forward_->run(op_.x.rows_from(first, count), logits_.rows_from(0, count), std::cref(finish)));
      if (!op_.dx) continue;
      check_ran("vocabulary_loss", data_->run(dlogits_.rows_from(0, count), op_.dx.rows_from(first, count), {}));
      linear_backward_weights(weights_of(first, count), products_, *workspace_);
    }
  }

 private:
  LinearBackwardWeights weights_of(std::int64_t first, std::int64_t count) const {
    return {dlogits_.rows_from(0, count), op_.x.rows_from(first, count), op_.dw, nullptr};
  }

  void* take(std::int64_t bytes) {
    bytes_ += Workspace::rounded(bytes);
    return workspace_ == nullptr ? nullptr : workspace_->take(bytes);
  }

  // Row n of the loss, whose logits are row r of the block: they become its dlogits.
  void finish_row(std::int64_t n, std::int64_t r) const {
    float* logits = logits_.f32() + r * V_;
    const std::int32_t target = op_.targets[n];
    void* dlogits = dlogits_.rows_from(r, 1).data;
    if (target < 0) {
      op_.losses[n] = 0;
      if (op_.dx) std::fill_n(static_cast<char*>(dlogits), V_ * size_of(dlogits_.type), char{0});
      return;
    }
    const float at_target = logits[target];
    float largest = 0, sum = 0;
    linear_kernels().softmax(logits, logits, V_, &largest, &sum);
    op_.losses[n] = std::log(sum) + (largest - at_target);
    if (!op_.dx) return;
    const float share = op_.gradient / sum;
    const float of_target = share * logits[target] - op_.gradient;
    linear_kernels().scale(logits, share, dlogits, dlogits_.type == DType::bfloat16, V_);
    if (dlogits_.type == DType::bfloat16) {
      dlogits_.bf16()[r * V_ + target] = bfloat16_from_float(of_target);
    } else {
      logits[target] = of_target;
    }
  }

  const VocabularyLoss& op_;
  Products& products_;
  Workspace* workspace_;
  std::int64_t V_, rows_;
  std::int64_t bytes_ = 0;
  Matrix logits_, dlogits_;
  std::optional<RowProduct> forward_, data_;
};

}  // namespace

void vocabulary_loss(const VocabularyLoss& op, Products& products, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  LossBlocks(op, products, &workspace).run();
}

std::int64_t vocabulary_loss_workspace_bytes(const VocabularyLoss& op, Products& products) {
  return LossBlocks(op, products, nullptr).workspace_bytes();
}

}  // namespace longstride
