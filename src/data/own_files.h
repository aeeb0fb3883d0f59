// Which files a run that is trained, and this program, write themselves: they grow while they are read, and are no
// data.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

namespace longstride {

using FileIdentity = std::pair<dev_t, ino_t>;  // equal where two names are one file

// Links are followed. None where nothing is there.
std::optional<FileIdentity> file_identity(const std::string& path);

// Where the links of a path lead, those too that lead to nothing that is there yet. Empty where they go round.
std::string without_links(const std::string& path);

// Those that standard output and standard error go into.
std::set<FileIdentity> files_of_words();

// What a run at a folder writes: checkpoints, samples, events and decoded data, its log and its configuration, whether
// they are there or will be.
class FilesOfRun {
 public:
  explicit FilesOfRun(const std::string& run);  // empty: of none

  // Whether the path leads there, by links or without.
  bool has_path(const std::string& path) const;
  // Whether this is a file or a folder of it that is there now, whatever its name: hard links and mounts have others.
  bool has(const FileIdentity& file) const { return files_.contains(file); }
  bool has_either(const std::string& path) const;  // by its path, or as what it names

 private:
  void add_below(const std::string& path);

  std::string run_;  // without links
  std::set<FileIdentity> files_;
};

}  // namespace longstride
