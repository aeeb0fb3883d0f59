// What the processes of a step send one another, and how long that takes beside what they compute: pure, from shapes and
// rates. The model behind longstride/plan.h's predict_scaling.
#pragma once

#include <cstdint>

#include "longstride/config.h"
#include "ops/ops.h"

namespace longstride {

// Error invalid_argument where so many processes cannot share training.lanes.
void check_processes(const TrainingConfig& training, int processes);

// Bytes that process `rank` sends to all others in a step, at most: gradients to their owners, sums, and the weights it
// moved. Fewer where rows go as lists (train/parcel.h) that are shorter than they might be.
std::int64_t sent_bytes_per_step(const ModelConfig& model, const TrainingConfig& training, DType activations,
                                 int processes, int rank);

}  // namespace longstride
