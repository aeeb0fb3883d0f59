// This compares files by their inodes, and paths by where their links lead.
#include "data/own_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "io/run_parts.h"
#include "io/system.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux follows

// The path with its first link replaced by what that names; itself where it has none. Of a path whose links were
// followed as far as something is there.
fs::path with_link_followed(const fs::path& path) {
  std::error_code none;
  fs::path at;
  for (auto part = path.begin(); part != path.end(); ++part) {
    const fs::path folder = at;
    at /= *part;
    const fs::path target = fs::read_symlink(at, none);
    if (none) continue;
    fs::path followed = folder / target;
    while (++part != path.end()) followed /= *part;
    return followed;
  }
  return path;
}

}  // namespace

std::optional<FileIdentity> file_identity(const std::string& path) {
  struct stat status = {};
  if (path.empty() || uninterrupted([&] { return ::stat(path.c_str(), &status); }) != 0) return std::nullopt;
  return FileIdentity(status.st_dev, status.st_ino);
}

std::string without_links(const std::string& path) {
  std::error_code error;
  fs::path at = fs::absolute(path, error);  // or what is not there yet stays relative
  if (!error) at = fs::weakly_canonical(at, error);
  for (int followed = 0; !error && followed < kMostLinks; ++followed) {
    const fs::path next = with_link_followed(at);
    if (next == at) return at.string();
    at = fs::weakly_canonical(next, error);
  }
  return "";
}

std::set<FileIdentity> files_of_words() {
  std::set<FileIdentity> files;
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat status = {};
    if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) files.emplace(status.st_dev, status.st_ino);
  }
  return files;
}

FilesOfRun::FilesOfRun(const std::string& run) : run_(run.empty() ? "" : without_links(run)) {
  if (run_.empty()) return;
  for (const std::string part : kRunParts) add_below(run_ + "/" + part);
}

bool FilesOfRun::has_path(const std::string& path) const {
  return !run_.empty() && is_in_run_part(without_links(path), run_);
}

bool FilesOfRun::has_either(const std::string& path) const {
  const std::optional<FileIdentity> found = file_identity(path);
  return has_path(path) || (found && has(*found));
}

// What cannot be looked into is left to those who must.
void FilesOfRun::add_below(const std::string& path) {
  struct stat status = {};
  if (uninterrupted([&] { return ::lstat(path.c_str(), &status); }) != 0 || S_ISLNK(status.st_mode)) return;
  files_.emplace(status.st_dev, status.st_ino);
  if (!S_ISDIR(status.st_mode)) return;
  try {
    for (const std::string& name : names_in(path)) add_below(path + "/" + name);
  } catch (const Error&) {
  }
}

}  // namespace longstride
