// Directories and links that change in one step: renamed, then synced.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "io/file.h"
#include "io/system.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

// What file systems answer to what they do not know.
bool is_unsupported(int reason) { return reason == EINVAL || reason == ENOSYS || reason == ENOTSUP; }

void sync_path(const std::string& path, int flags) {
  const Descriptor entry(open_path(path, O_RDONLY | flags));
  if (entry.get() < 0) fail_system("open", path);
  // Some file systems cannot sync a directory; there is nothing more to do on those.
  if (sync_descriptor(entry.get()) != 0 && !is_unsupported(errno)) fail_system("sync", path);
}

void sync_below(const fs::path& directory) {
  for (const std::string& name : names_in(directory.string())) {
    const fs::path entry = directory / name;
    std::error_code code;
    const fs::file_status status = fs::symlink_status(entry, code);
    if (fs::is_symlink(status)) continue;
    if (fs::is_directory(status)) {
      sync_below(entry);
    } else {
      sync_path(entry.string(), 0);
    }
  }
  sync_directory(directory.string());
}

// A directory without its trailing slash, so that a suffix makes a neighbour of it.
std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

[[noreturn]] void fail_filesystem(std::string_view action, const std::string& path, const std::error_code& code) {
  errno = code.value();
  fail_system(action, path);
}

// Takes the place of a directory of equal form, file by file.
void replace_files(const std::string& aside, const std::string& place) {
  for (const std::string& name : names_in(aside)) {
    const fs::path file = fs::path(place) / name;
    if (::rename((fs::path(aside) / name).c_str(), file.c_str()) != 0) fail_system("write", file.string());
  }
  sync_directory(place);
}

// What somebody has closed to others stays so when it is written anew: modes of the directory and of its files.
void take_modes(const std::string& place, const std::string& aside) {
  struct stat before = {};
  if (::stat(place.c_str(), &before) != 0 || !S_ISDIR(before.st_mode)) return;
  for (const std::string& name : names_in(aside)) {
    struct stat file = {};
    if (::lstat((fs::path(place) / name).c_str(), &file) == 0 && S_ISREG(file.st_mode))
      ::chmod((fs::path(aside) / name).c_str(), file.st_mode & 07777);
  }
  ::chmod(aside.c_str(), before.st_mode & 07777);
}

}  // namespace

// Another one may take folders away that were there when they were looked for, or were in the way of being made: then
// all is looked for again.
NewFolder::NewFolder(const std::string& folder) {
  constexpr int kMostTries = 100;
  std::error_code code = make(folder);
  const auto went = [&] { return code == std::errc::no_such_file_or_directory || code == std::errc::file_exists; };
  for (int tries = 1; went() && tries < kMostTries; ++tries) code = make(folder);
  if (code == std::errc::no_such_file_or_directory)  // though those above it were made
    throw Error(ErrorKind::exhausted, fmt::format("cannot make the folder \"{}\": its file system takes none", folder));
  if (code) fail_filesystem("make the folder", folder, code);
}

std::error_code NewFolder::make(const std::string& folder) {
  std::error_code code;
  std::vector<fs::path> missing;  // the innermost first
  for (fs::path path = absolute_path(without_slash(folder)); !fs::exists(path, code) && path.has_relative_path();
       path = path.parent_path())
    missing.push_back(path);
  code.clear();
  for (auto path = missing.rbegin(); path != missing.rend() && !code; ++path)
    if (fs::create_directory(*path, code)) made_.insert(made_.begin(), path->string());  // else another made it now
  if (!code && !fs::is_directory(folder, code) && !code) code = std::make_error_code(std::errc::not_a_directory);
  if (code) remove();
  return code;
}

NewFolder::~NewFolder() { remove(); }

void NewFolder::remove() {
  std::error_code ignored;
  for (const std::string& path : made_) fs::remove(path, ignored);  // none that holds anything
  made_.clear();
}

void NewFolder::keep() {
  for (const std::string& path : made_) sync_directory(parent_directory(path));
  made_.clear();
}

void sync_directory(const std::string& path) { sync_path(path, O_DIRECTORY); }

std::string begin_directory(const std::string& path) {
  const std::string aside = without_slash(path) + ".partial";
  std::error_code code = remove_tree(aside);
  if (!code) fs::create_directories(aside, code);
  if (code) fail_filesystem("make the directory", aside, code);
  return aside;
}

void commit_directory(const std::string& path) {
  const std::string place = without_slash(path);
  const std::string aside = place + ".partial";
  take_modes(place, aside);
  sync_below(aside);
  if (::rename(aside.c_str(), place.c_str()) != 0) {
    // The place is taken: exchange the two, so that one of them is there at every moment, then remove the old one.
    if (errno != ENOTEMPTY && errno != EEXIST) fail_system("write", place);
    if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) != 0) {
      if (!is_unsupported(errno)) fail_system("write", place);
      replace_files(aside, place);
    }
    sync_directory(parent_directory(place));  // before the old one is removed, whose name may come back otherwise
    if (const std::error_code code = remove_tree(aside)) fail_filesystem("remove", aside, code);
    return;
  }
  sync_directory(parent_directory(place));
}

void replace_symlink(const std::string& target, const std::string& link) {
  const std::string aside = link + ".partial";
  ::unlink(aside.c_str());
  if (::symlink(target.c_str(), aside.c_str()) != 0) fail_system("write", link);
  if (::rename(aside.c_str(), link.c_str()) != 0) {
    const int reason = errno;
    ::unlink(aside.c_str());
    errno = reason;
    fail_system("write", link);
  }
  sync_directory(parent_directory(link));
}

}  // namespace longstride
