// What a run consists of (docs/files.md), and which folder is one: the one list of names.
#pragma once

#include <string>

namespace longstride {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kLogFile = "log.jsonl";
inline constexpr const char* kSampleFolder = "samples";
inline constexpr const char* kEventFolder = "tensorboard";
inline constexpr const char* kDecodedFolder = "cache";
inline constexpr const char* kPartial = ".partial";  // ends the name of what is being written or removed

// Whether a name is one that `file` has while it is written: FILE.partial, FILE.PID-COUNT.partial.
bool is_partial(const std::string& name, const std::string& file);

// Whether there is a run at `path` to go on with or to replace: a config.json, or checkpoints that know what was in it.
// One that is being replaced is none any more. Error exhausted where the system does not say.
bool holds_run(const std::string& path);

// Whether `named` is, or lies in, what a run at `path` writes itself, wherever links lead; whether it is there or not.
bool is_part_of_run(const std::string& path, const std::string& named);

}  // namespace longstride
