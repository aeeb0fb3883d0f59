// What a run or a checkpoint is (docs/model.md, section 6; docs/files.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "longstride/config.h"
#include "longstride/origin.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct CheckpointInfo {
  std::string path;  // of model.safetensors
  Config config;
  std::int64_t step = 0;
  std::int64_t parameters = 0;
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors;  // name, shape
  double valid_bits = -1;        // the last validation up to that step; -1: none
  double best_bits = -1;         // the lowest up to that step; -1: none
  double elapsed_s = -1;         // of training up to that step; -1: not known
  double tokens_per_s = -1;      // of training, lately; -1: not known
  std::optional<Origin> origin;  // of what trained it; none: it does not say
  std::string data_sha256;       // that names what it was trained on (docs/training.md); empty: not known
  std::int64_t data_bytes = 0;
};

// run: a run directory, a checkpoint directory or a .safetensors file. which: best | latest | a step. Where nothing was
// validated the best is the latest; where it is missing, another one that the others know of (missing_best).
// Errors: invalid_argument where there is none, corrupt_data where it is damaged.
std::string find_checkpoint(const std::string& run, const std::string& which);
// The run directory, by its path from the root, that `path` belongs to, whether that is there or not: as its
// config.json, log.jsonl, best or a partial of them, or as anything in its checkpoints/, samples/, tensorboard/ or
// cache/, wherever links lead. Empty: none. Other files that lie in a run's folder are not the run's.
std::string run_of(const std::string& path);
// The step of a run directory's best checkpoint where that is missing, so that `best` finds another; none where it is
// there, or nothing knows of one. Errors: as find_checkpoint.
std::optional<std::int64_t> missing_best(const std::string& run);
// The steps of a run directory's complete checkpoints, ascending; none where `run` is no run directory.
std::vector<std::int64_t> checkpoint_steps(const std::string& run);
CheckpointInfo describe_checkpoint(const std::string& path);
Config checkpoint_config(const std::string& path);  // the configuration alone: no tensor is looked at

// The same of what find_checkpoint finds; looked for again where training removes it before it is read.
CheckpointInfo describe_checkpoint(const std::string& run, const std::string& which);
Config checkpoint_config(const std::string& run, const std::string& which);

}  // namespace longstride
#pragma GCC visibility pop
