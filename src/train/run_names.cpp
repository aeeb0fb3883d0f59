// This tells what is a run's own from other files that lie in its folder.
#include "train/run_names.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "io/file.h"
#include "io/system.h"
#include "longstride/checkpoint.h"
#include "model/checkpoint.h"

namespace longstride {

namespace fs = std::filesystem;

namespace {

constexpr const char* kParts[] = {kConfigFile,   kLogFile,     kCheckpointFolder, kBestLink,
                                  kSampleFolder, kEventFolder, kDecodedFolder};

// Whether a run has, or has while it is written, an entry of this name in its folder.
bool is_part(const std::string& name) {
  return std::any_of(std::begin(kParts), std::end(kParts),
                     [&](const char* part) { return name == part || is_partial(name, part); });
}

// Where bytes go that are written to `named`: from the root, through links, those that lead nowhere yet included.
fs::path place_of(const std::string& named) {
  std::error_code ignored;
  return fs::weakly_canonical(follow_links(named), ignored);
}

// The first part of a path within a folder; empty where it is the folder or lies outside.
std::string first_within(const fs::path& place, const fs::path& folder) {
  const fs::path within = place.lexically_relative(folder);
  const std::string first = within.empty() ? "" : within.begin()->string();
  return first == "." || first == ".." ? "" : first;
}

bool holds_checkpoint(const fs::path& run) {
  const std::string folder = (run / kCheckpointFolder).string();
  std::error_code none;
  if (!fs::is_directory(folder, none)) return false;
  for (const std::string& name : names_in(folder))
    if (parse_step(name) && is_there(folder + "/" + name + "/" + kModelFile)) return true;
  return false;
}

// Whether a folder is a run to somebody who asks of any: other programs have a config.json too.
bool is_run(const fs::path& folder) {
  std::error_code none;
  if (fs::is_regular_file(folder / kConfigFile, none) &&
      (fs::is_directory(folder / kCheckpointFolder, none) || fs::is_regular_file(folder / kLogFile, none)))
    return true;
  return holds_checkpoint(folder);
}

}  // namespace

bool is_partial(const std::string& name, const std::string& file) {
  return name.starts_with(file + ".") && name.ends_with(kPartial);
}

bool holds_run(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path + "/" + kConfigFile, error)) || holds_checkpoint(path);
}

bool is_part_of_run(const std::string& path, const std::string& named) {
  return is_part(first_within(place_of(named), place_of(path)));
}

std::string run_of(const std::string& path) {
  const fs::path place = place_of(path);
  for (fs::path folder = place; folder.has_relative_path();) {
    folder = folder.parent_path();
    if (is_part(first_within(place, folder)) && is_run(folder)) return folder.string();
  }
  return "";
}

}  // namespace longstride
