// A model in a file (docs/model.md, section 6): model.safetensors holds every parameter of the table as F32 under its
// name, and in its metadata `format`, `config` (the whole configuration as one JSON text), `step`. Rule: nothing of a
// file is used before all of it was checked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/run_parts.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "longstride/checkpoint.h"
#include "longstride/config.h"
#include "longstride/error.h"
#include "model/parameters.h"
#include "model/weights.h"
#include "ops/buffer.h"

namespace longstride {

inline constexpr const char* kCheckpointFormat = "longstride-1";
inline constexpr const char* kModelFile = "model.safetensors";          // within a checkpoint directory
inline constexpr const char* kTrainingStateFile = "state.safetensors";  // beside it, where training can go on
inline constexpr const char* kModelHash = "model_sha256";               // in a state's metadata

// "000001000": a checkpoint directory's name; names sort as their steps do.
std::string checkpoint_name(std::int64_t step);
// The step of a name that checkpoint_name gives: what has another name, "31" or "2024", is somebody else's, and none.
std::optional<std::int64_t> step_of_name(const std::string& name);
// The step that a text, or what a user says, stands for: digits only; nothing otherwise.
std::optional<std::int64_t> parse_step(const std::string& text);

// A model in a backend's memory, ready to compute.
struct LoadedModel {
  Config config;
  ParameterTable table;
  Buffer f32;   // (store_elements)
  Buffer bf16;  // the same rounded; empty unless activations are bfloat16
  std::int64_t step = 0;
  std::string path;
  std::optional<Origin> origin;
  Weights weights() const { return {&table, f32.f32(), bf16.bf16()}; }  // valid while this lives where it is
};

// What `use` makes of the path of a checkpoint; training that goes on may remove it after it was found: then of the one
// that is found next.
template <typename Use>
auto with_checkpoint(const std::string& run, const std::string& which, Use use) {
  constexpr int kMostTries = 10;
  for (int tries = 1;; ++tries) {
    const std::string path = find_checkpoint(run, which);
    try {
      return use(path);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid_argument || tries == kMostTries || is_there(path)) throw;
    }
  }
}

// Reads and verifies a checkpoint. activations: bfloat16 adds the rounded copy.
// Errors: invalid_argument where there is no such file; corrupt_data where it is damaged, of another format, lacks a
// tensor, has one too many, one of another shape or type, or a value that is not finite.
LoadedModel load_model(Backend& backend, const std::string& safetensors_path, DType activations);

// The metadata of a verified file: path, config, step; counts left 0. Error corrupt_data as above.
CheckpointInfo read_checkpoint_metadata(const SafetensorsFile& file);

// Error corrupt_data where a state is not the one that was saved with this model: it has another step, or its
// kModelHash is another model's sha256. States and models without one are known by the step alone.
void check_together(const SafetensorsFile& model, const SafetensorsFile& state);

// For the error of one that is damaged: "; --checkpoint takes others of the run: 4, 5"; empty where there is none.
std::string other_checkpoints_words(const std::string& model_path);

// Fills host_store (store_elements) from the tensors prefix + name: each must be there, F32, of its shape and finite.
// Gaps become 0. Errors: corrupt_data naming the tensor.
void load_tensors_into(const SafetensorsFile& file, const ParameterTable& table, const std::string& prefix,
                       float* host_store);

// The values of one parameter of a table, (count) in host memory, until it is asked for the next.
using ParameterValues = std::function<const float*(const Parameter&)>;
// Appends all parameters as prefix + name. Both outlive the tensors.
void add_tensors(std::vector<StoredTensor>& tensors, const ParameterTable& table, const std::string& prefix,
                 const ParameterValues& values);

// Writes model.safetensors at `path`, complete or not at all. origin: of what trained it, where that is known. Returns
// the sha256 in its metadata.
std::string save_model(const std::string& path, const Config& config, std::int64_t step, const ParameterTable& table,
                       const ParameterValues& values, const std::optional<Origin>& origin = {});
// host_store: (store_elements) in host memory.
inline std::string save_model(const std::string& path, const Config& config, std::int64_t step,
                              const ParameterTable& table, const float* host_store) {
  return save_model(path, config, step, table, [&](const Parameter& entry) { return host_store + entry.offset; });
}

}  // namespace longstride
