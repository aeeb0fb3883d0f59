// The operations of ops/ops.h on a card, but for attention (cuda/attention). Each puts its kernels into the card's
// stream; its formula stands in ops/ops.h. scratch_bytes: what an operation of these shapes needs while it runs.
#pragma once

#include <cstdint>

#include "cuda/run.h"
#include "ops/ops.h"

namespace longstride::cuda {

template <class Op>
std::int64_t scratch_bytes(const Op&) {
  return 0;
}
std::int64_t scratch_bytes(const EmbedBackward& op);
std::int64_t scratch_bytes(const ResidualNormBackward& op);
std::int64_t scratch_bytes(const Linear& op);
std::int64_t scratch_bytes(const LinearBackwardWeights& op);
std::int64_t scratch_bytes(const VocabularyLoss& op);
std::int64_t scratch_bytes(const PackRows& op);
std::int64_t scratch_bytes(const SumRows& op);

void compute(const Run& run, const Embed& op);
void compute(const Run& run, const EmbedBackward& op);
void compute(const Run& run, const ResidualNorm& op);
void compute(const Run& run, const ResidualNormBackward& op);
void compute(const Run& run, const Linear& op);
// dbias, where it is given, which needs pre: += sum_n dx, in the same pass over dx, the gradient of the bias that gave
// `pre` (cuda/passing_sums.h).
void compute(const Run& run, const LinearBackwardData& op, const Array<float>& dbias);
std::int64_t scratch_bytes(const LinearBackwardData& op, bool sums);
void compute(const Run& run, const LinearBackwardWeights& op);
void compute(const Run& run, const VocabularyLoss& op);
void compute(const Run& run, const SumBits& op);
void compute(const Run& run, const Sum& op);
void compute(const Run& run, const SquareSums& op);
void compute(const Run& run, const GradientNorm& op);
void compute(const Run& run, const AdamW& op);
void compute(const Run& run, const Zero& op);
void compute(const Run& run, const Round& op);
void compute(const Run& run, const Exchange& op);
void compute(const Run& run, const PackRows& op);
void compute(const Run& run, const SumRows& op);
void compute(const Run& run, const PutRows& op);
void compute(const Run& run, const CacheRows& op);

}  // namespace longstride::cuda
