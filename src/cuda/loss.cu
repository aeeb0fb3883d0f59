// The loss over the vocabulary: logits of some rows at a time, so that (N, V) never exists; a block a row makes losses and
// dlogits of them, and products the gradients.
#include <algorithm>

#include "cuda/launch.h"
#include "cuda/operations.h"
#include "cuda/reduce.h"

namespace longstride::cuda {

namespace {

constexpr std::int64_t kMostLogits = std::int64_t{1} << 23;  // 32 MiB of them, unless kTile rows are more
constexpr std::int64_t kTile = 64;

std::int64_t rows_at_once(const VocabularyLoss& op) {
  return std::min(op.x.rows, std::max(kTile, kMostLogits / op.w.rows / kTile * kTile));
}

// loss = log sum_v exp(logits_v) - logits_target;  dlogits = gradient * (softmax - onehot)
template <class A>
struct LossRow {
  static constexpr int kThreads = 128;
  std::int64_t V;
  const std::int32_t* targets;
  Rows<float> logits;
  float* losses;
  Rows<A> dlogits;  // none: no gradient is wanted; may be the logits
  const StepInputs* inputs;

  std::size_t shared_bytes() const { return kThreads / kWarp * sizeof(float); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = block.index().x;
    const std::int64_t target = targets[r];
    if (target < 0) {
      for (std::int64_t v = block.thread(); v < V && dlogits.data != nullptr; v += kThreads)
        dlogits.at(r, v) = from_float<A>(0);
      if (block.thread() == 0) losses[r] = 0;
      return;  // the whole block
    }
    const float* row = logits.row(r);
    float largest = row[0], sum = 0;
    for (std::int64_t v = block.thread(); v < V; v += kThreads) largest = max(largest, row[v]);
    largest = reduce_block(block, largest, block.template shared<float>(), Largest());
    for (std::int64_t v = block.thread(); v < V; v += kThreads) sum += exp(row[v] - largest);
    sum = reduce_block(block, sum, block.template shared<float>(), Add());
    if (block.thread() == 0) losses[r] = log(sum) + (largest - row[target]);
    if (dlogits.data == nullptr) return;
    const float gradient = inputs->loss_gradient, share = gradient / sum;
    block.sync();  // the target's logit is read
    for (std::int64_t v = block.thread(); v < V; v += kThreads) {
      const float d = share * exp(row[v] - largest);
      dlogits.at(r, v) = from_float<A>(v == target ? d - gradient : d);
    }
  }
};

// The rows [first, first + count): their dlogits, whose type is A.
template <class A>
void finish(const Run& run, const VocabularyLoss& op, float* logits, const Matrix& dlogits, std::int64_t first,
            std::int64_t count) {
  const std::int64_t V = op.w.rows;
  launch(run.stream(),
         LossRow<A>{V, op.targets.data + first, {logits, V}, op.losses.data + first,
                    op.dx ? rows_of<A>(dlogits) : Rows<A>(), run.inputs},
         {count});
}

// dx = dlogits W;  dw += dlogits^T x
void multiply_back(const Run& run, const VocabularyLoss& op, const Matrix& dlogits, std::int64_t first,
                   std::int64_t count) {
  const std::int64_t V = op.w.rows, C = op.w.cols;
  run.multiply({.m = count,
                .n = C,
                .k = V,
                .type = op.x.type,
                .c_type = op.dx.type,
                .a_stride = V,
                .b_stride = op.w.stride,
                .c_stride = op.dx.stride},
               dlogits.data, op.w.data, op.dx.rows_from(first, count).data);
  run.multiply({.m = V,
                .n = C,
                .k = count,
                .type = op.x.type,
                .c_type = DType::float32,
                .a_stride = V,
                .b_stride = op.x.stride,
                .c_stride = op.dw.stride,
                .a_transposed = true,
                .accumulate = true},
               dlogits.data, op.x.rows_from(first, count).data, op.dw.data);
}

}  // namespace

// Logits, then dlogits of another type.
std::int64_t scratch_bytes(const VocabularyLoss& op) {
  const std::int64_t logits = rows_at_once(op) * op.w.rows;
  return scratch_of(logits * 4) + (op.dx && op.x.type == DType::bfloat16 ? scratch_of(logits * 2) : 0);
}

void compute(const Run& run, const VocabularyLoss& op) {
  const std::int64_t most = rows_at_once(op), V = op.w.rows;
  auto* logits = reinterpret_cast<float*>(run.scratch);
  const bool apart = op.x.type == DType::bfloat16;
  const Matrix dlogits = matrix(apart ? run.scratch + scratch_of(most * V * 4) : run.scratch, op.x.type, most, V);
  for (std::int64_t first = 0; first < op.x.rows; first += most) {
    const std::int64_t count = std::min(most, op.x.rows - first);
    run.multiply({.m = count,
                  .n = V,
                  .k = op.w.cols,
                  .type = op.x.type,
                  .c_type = DType::float32,
                  .a_stride = op.x.stride,
                  .b_stride = op.w.stride,
                  .c_stride = V,
                  .b_transposed = true},
                 op.x.rows_from(first, count).data, op.w.data, logits);
    apart ? finish<bf16>(run, op, logits, dlogits, first, count) : finish<float>(run, op, logits, dlogits, first, count);
    if (op.dx) multiply_back(run, op, dlogits, first, count);
  }
}

}  // namespace longstride::cuda
