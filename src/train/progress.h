// Where a run stands, and how it lies in the metadata of state.safetensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "io/safetensors.h"
#include "longstride/origin.h"

namespace longstride {

// States of version 0.1.0 do not say how many windows were read: as many in every step as in the next.
inline constexpr std::int64_t kUnknownWindows = -1;

struct Progress {
  std::int64_t step = 0;     // steps done, skipped ones included
  std::int64_t windows = 0;  // of the data's order that they read; another batch goes on with those that follow
  std::int64_t updates = 0;  // steps that changed the weights
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;
  double elapsed_s = 0;      // of training, over all its sessions
  double warm_share = 0;     // by the clock: the share of time used when warm-up ended
  double smoothed_bits = 0;  // exponential average of loss_bits
  double best_bits = 0;      // lowest on validation so far; meaningless where best_step is -1
  std::int64_t best_step = -1;
  double valid_bits = -1;         // the last validation; -1: none
  std::int64_t valid_tokens = 0;  // that a validation scores; 0: not chosen yet
  double tokens_per_s = 0;        // of training, smoothed
  // The steps that were last validated and sampled, and elapsed_s as that began: so that an interruption neither
  // repeats nor omits what is due between two steps.
  std::int64_t validated_step = 0, sampled_step = 0;
  double validated_s = 0, sampled_s = 0;
  std::int64_t since_best = 0;   // validations in a row that were not the best
  double planned_minutes = 0;    // training.minutes that warm_share is a share of; known by model.safetensors
  DataMark data;                 // that all of it was trained on; unknown in states of version 0.1.0
  std::optional<Origin> origin;  // of what trained it last; unknown in older states; kept in model.safetensors
};

// The metadata of a state. Numbers are the shortest texts that read back the same.
std::map<std::string, std::string> progress_metadata(const Progress& progress);

// Error corrupt_data where a number is missing or none, or counts windows that no run reads.
Progress read_progress(const SafetensorsFile& state);

}  // namespace longstride
