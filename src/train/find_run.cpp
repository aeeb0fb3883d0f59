// This tells runs from other folders, and what is a run's own from other files that lie in it.
#include "train/find_run.h"

#include <filesystem>
#include <system_error>

#include "data/own_files.h"
#include "io/run_parts.h"
#include "io/system.h"
#include "model/checkpoint.h"

namespace longstride {

namespace fs = std::filesystem;

namespace {

bool holds_checkpoint(const fs::path& run) {
  const std::string folder = (run / kCheckpointFolder).string();
  std::error_code none;
  if (!fs::is_directory(folder, none)) return false;
  for (const std::string& name : names_in(folder))
    if (step_of_name(name) && is_there(folder + "/" + name + "/" + kModelFile)) return true;
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

bool holds_run(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path + "/" + kConfigFile, error)) || holds_checkpoint(path);
}

std::string run_of(const std::string& path) {
  const fs::path place = without_links(path);
  for (fs::path folder = place; folder.has_relative_path();) {
    folder = folder.parent_path();
    if (is_in_run_part(place, folder) && is_run(folder)) return folder.string();
  }
  return "";
}

}  // namespace longstride
