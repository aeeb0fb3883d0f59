// losses = logsumexp(logits) - logits[target], logits = x W^T; dlogits = gradient * (softmax - onehot), dx = dlogits W,
// dw += dlogits^T x. A block of rows at a time, so that (N, V) never exists.
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "cpu/linear.h"
#include "cpu/linear_kernels.h"
#include "cpu/row_product.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kMostRows = 4096;
constexpr std::int64_t kMostLogits = std::int64_t{1} << 23;  // 32 MiB a block, unless kChunkRows rows are more

// A multiple of kChunkRows, or N where that is less.
std::int64_t block_rows(const VocabularyLoss& op) {
  const std::int64_t fit = std::min(kMostRows, kMostLogits / op.w.rows) / kChunkRows * kChunkRows;
  return std::min(op.x.rows, std::max(kChunkRows, fit));
}

// Row n of the loss, whose logits are row r of a block: they become its dlogits.
void finish_row(const VocabularyLoss& op, float gradient, const Matrix& logits, const Matrix& dlogits, std::int64_t n,
                std::int64_t r) {
  const std::int64_t V = op.w.rows;
  float* row = logits.f32() + r * V;
  const std::int32_t target = op.targets[n];
  void* drow = dlogits.rows_from(r, 1).data;
  if (target < 0) {
    op.losses[n] = 0;
    if (op.dx) std::fill_n(static_cast<char*>(drow), V * size_of(dlogits.type), char{0});
    return;
  }
  const float at_target = row[target];
  float largest = 0, sum = 0;
  linear_kernels().softmax(row, row, V, &largest, &sum);
  op.losses[n] = std::log(sum) + (largest - at_target);
  if (!op.dx) return;
  const float share = gradient / sum;
  const float of_target = share * row[target] - gradient;
  linear_kernels().scale(row, share, drow, dlogits.type == DType::bfloat16, V);
  if (dlogits.type == DType::bfloat16) {
    dlogits.bf16()[r * V + target] = bfloat16_from_float(of_target);
  } else {
    row[target] = of_target;
  }
}

// What a block of rows adds to dw. Addresses are not there yet where dlogits has none.
LinearBackwardWeights weights_of(const VocabularyLoss& op, const Matrix& dlogits, std::int64_t first,
                                 std::int64_t count) {
  return {dlogits.rows_from(0, count), op.x.rows_from(first, count), op.dw, {}};
}

}  // namespace

Loss::Loss(const VocabularyLoss& op, Products& products)
    : rows_(block_rows(op)), forward_(products, op.w, true, false, op.x.rows, op.x.stride, DType::float32, op.w.rows) {
  const std::int64_t V = op.w.rows, rest = op.x.rows % rows_;
  logits_bytes_ = Workspace::rounded(rows_ * V * 4);
  if (!op.dx) return;
  const DType type = op.x.type;
  if (type == DType::bfloat16) dlogits_bytes_ = Workspace::rounded(rows_ * V * 2);
  data_.emplace(products, op.w, false, false, op.x.rows, V, op.dx.type, op.dx.stride);
  const Matrix dlogits = matrix(nullptr, type, rows_, V);
  weights_.emplace(weights_of(op, dlogits, 0, rows_), products);
  if (rest > 0) last_weights_.emplace(weights_of(op, dlogits, 0, rest), products);
}

std::int64_t Loss::workspace_bytes() const {
  std::int64_t bytes = logits_bytes_ + dlogits_bytes_ + forward_.workspace_bytes(), weights = 0;
  if (data_) bytes += data_->workspace_bytes();
  for (const auto* product : {&weights_, &last_weights_})
    if (*product) weights = std::max(weights, (*product)->workspace_bytes());
  return bytes + weights;
}

void Loss::run(const VocabularyLoss& op, const StepInputs& inputs, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const std::int64_t V = op.w.rows;
  const auto taken = [&](const RowProduct& product) {
    const void* packed = product.pack(op.w, workspace);
    return std::pair(packed, workspace.take(product.threads_bytes()));
  };
  const Matrix logits = matrix(workspace.take(logits_bytes_), DType::float32, rows_, V);
  const Matrix dlogits =
      dlogits_bytes_ > 0 ? matrix(workspace.take(dlogits_bytes_), DType::bfloat16, rows_, V) : logits;
  const auto [forward, forward_scratch] = taken(forward_);
  const auto [data, data_scratch] = data_ ? taken(*data_) : std::pair<void*, void*>();
  for (std::int64_t first = 0; first < op.x.rows; first += rows_) {
    const std::int64_t count = std::min(rows_, op.x.rows - first);
    const auto finish = [&](std::int64_t row, std::int64_t rows) {
      for (std::int64_t r = row; r < row + rows; ++r)
        finish_row(op, inputs.loss_gradient, logits, dlogits, first + r, r);
    };
    check_ran("vocabulary_loss", forward_.run(forward, op.x.rows_from(first, count), logits.rows_from(0, count),
                                              nullptr, forward_scratch, std::cref(finish)));
    if (!op.dx) continue;
    check_ran("vocabulary_loss",
              data_->run(data, dlogits.rows_from(0, count), op.dx.rows_from(first, count), nullptr, data_scratch, {}));
    (count == rows_ ? weights_ : last_weights_)->run(weights_of(op, dlogits, first, count), workspace);
  }
}

}  // namespace longstride::cpu
