// What a run consists of (docs/files.md): the one list of names.
#pragma once

#include <filesystem>
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

// Whether a place is, or lies in, what a run in this folder has there or has there while it is written. By their names
// alone, both without links.
bool is_in_run_part(const std::filesystem::path& place, const std::filesystem::path& run);

}  // namespace longstride
