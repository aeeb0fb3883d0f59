#include "data/files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "io/system.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;
using Identity = std::pair<dev_t, ino_t>;

// above: the folders that lead here; a link back to one of them would go round for ever.
void list_folder(const fs::path& folder, std::set<Identity>& above, std::vector<std::string>& files) {
  struct stat status = {};
  if (::stat(folder.c_str(), &status) != 0) fail_system("read", folder.string());
  const Identity identity(status.st_dev, status.st_ino);
  if (!above.insert(identity).second) return;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    if (at->path().filename().string().starts_with('.')) continue;
    std::error_code missing;  // a link to nowhere is no file
    const fs::file_status entry = fs::status(at->path(), missing);
    if (fs::is_directory(entry)) {
      list_folder(at->path(), above, files);
    } else if (fs::is_regular_file(entry)) {
      files.push_back(at->path().string());
    }
  }
  if (code) {
    errno = code.value();
    fail_system("read", folder.string());
  }
  above.erase(identity);
}

std::string ending(const std::string& file) {
  std::string word = fs::path(file).extension().string();
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word;
}

}  // namespace

std::vector<std::string> list_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) fail_system("open", path);
    if (!S_ISDIR(status.st_mode)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> below;
    std::set<Identity> above;
    list_folder(path, above, below);
    if (below.empty()) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("\"{}\": the folder holds no files (hidden ones do not count)", path));
    }
    std::sort(below.begin(), below.end());
    files.insert(files.end(), below.begin(), below.end());
  }
  return files;
}

std::string find_kind(const std::vector<std::string>& files, bool image_size_given) {
  const std::set<std::string> image = {".png", ".jpg", ".jpeg", ".npy"};
  const std::set<std::string> sound = {".wav", ".flac"};
  const auto is_image = [&](const std::string& file) {
    const std::string word = ending(file);
    return image.contains(word) || (image_size_given && word == ".bin");
  };
  const auto is_sound = [&](const std::string& file) { return sound.contains(ending(file)); };
  if (files.empty()) return "text";
  if (std::all_of(files.begin(), files.end(), is_image)) return "image";
  if (std::all_of(files.begin(), files.end(), is_sound)) return "sound";
  return "text";
}

}  // namespace longstride
