// What a run consists of (docs/files.md): the one list of names.
#pragma once

#include <string>

namespace longstride {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kLogFile = "log.jsonl";
inline constexpr const char* kCheckpointFolder = "checkpoints";
inline constexpr const char* kBestLink = "best";
inline constexpr const char* kSampleFolder = "samples";
inline constexpr const char* kEventFolder = "tensorboard";
inline constexpr const char* kDecodedFolder = "cache";
inline constexpr const char* kRunParts[] = {kConfigFile,   kLogFile,     kCheckpointFolder, kBestLink,
                                            kSampleFolder, kEventFolder, kDecodedFolder};
inline constexpr const char* kPartial = ".partial";  // ends the name of what is being written or removed
inline constexpr const char* kDamaged = ".damaged";  // ends the name of a checkpoint that was set aside

// Whether a name is one that `file` has while it is written: FILE.partial, FILE.PID-COUNT.partial.
bool is_partial(const std::string& name, const std::string& file);

// Whether a run has, or has while it is written, an entry of this name in its folder.
bool is_run_part(const std::string& name);

}  // namespace longstride
