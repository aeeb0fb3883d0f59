// What a run will need, before it starts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "longstride/config.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct Plan {
  std::int64_t parameters = 0;
  std::vector<std::pair<std::string, std::int64_t>> parameters_by_part;
  std::string device = "cpu", device_name;                          // that the memory is of: "cuda", "NVIDIA H200"
  std::vector<std::pair<std::string, std::int64_t>> bytes_by_part;  // of its memory; sums to total_bytes
  std::int64_t total_bytes = 0;
  // Activations and workspace alone, either way:
  std::int64_t bytes_without_recomputation = 0;
  std::int64_t bytes_with_recomputation = 0;
  std::int64_t multiply_adds_per_step = 0;  // that the definition needs: no recomputation, pairs that attend
  std::int64_t sent_bytes_per_step = 0;     // by this process to all others that train with it, at most
  std::int64_t memory_available_bytes = 0;
  // With a card, what the run takes of this machine's memory besides; 0 where the device is the processor.
  std::int64_t host_bytes = 0, host_available_bytes = 0;
  bool fits = false;                         // on the device, and on the host
  std::string advice;                        // where it does not fit: what to change, tried before
  Precision precision = Precision::float32;  // as resolved from automatic
  std::string precision_reason;              // "as asked", or what was measured
  Recompute recompute = Recompute::none;
};

// Resolves `automatic` choices for this machine and sums the memory: of process `rank` where so many train together.
// Error invalid_argument where they cannot share training.lanes.
Plan plan_training(const Config& config, int processes = 1, int rank = 0);

// Throws what training would say, before its first step, of the data that config names and of the weights that it
// begins with: they do not fit the model or each other, the training part is shorter than a context, a byte is outside
// the vocabulary. Pictures and sound, which training decodes first, are looked into, and sound is decoded as far as a
// training part of one context needs; what is damaged further on is found by training alone. Errors: invalid_argument;
// corrupt_data; those of opening them.
void check_start(const Config& config);

// What processes of one kind do in a second.
struct Rates {
  double multiply_adds = 0;  // of a training step, one process: less than its best product reaches
  double memory_bytes = 0;   // read or written, one process
  double link_bytes = 0;     // that a process sends to others, and receives at the same time
  double latency_s = 2e-5;   // until the first byte of a message arrives
};

// Of processes like this one on the threads in use, measured now in about two seconds; link_bytes stay 0. A step's rate
// is a share of the best product's, as steps usually reach it (docs/performance.md).
Rates measure_rates(Precision precision);

struct Scaling {
  double step_s = 0;
  double exchange_s = 0;            // of step_s, waiting for others
  double efficiency = 0;            // time of one process with one lane / (processes x step_s)
  std::int64_t batches_for_90 = 0;  // of a process in a step, from which on the efficiency is 0.9
};

// A model of a step that so many processes share (docs/parallel.md says what it counts): nothing is measured, and no
// network is made. Error invalid_argument where they cannot share training.lanes, or a rate is not positive.
Scaling predict_scaling(const Config& config, int processes, const Rates& rates);

// Seconds that a step will take in one process, from what is measured now in about a second on the threads in use: the
// step itself where it is short, else pieces of it. Validation, samples and checkpoints come on top. Memory: that of
// the pieces, at most what the run needs. 0: not known, where they find no memory beside what the process has, and for
// a step of a card that is too long to be tried (a head's attention by itself leaves most of a card idle).
double measure_step(const Config& config, const Plan& plan);

}  // namespace longstride
#pragma GCC visibility pop
