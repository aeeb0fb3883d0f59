// This walks folders for their files and finds out of which kind they are.
#include "data/files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "data/picture_files.h"
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

std::string file_ending(const std::string& file) {
  std::string word = fs::path(file).extension().string();
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word;
}

std::vector<std::string> without_companions(std::vector<std::string> files) {
  if (std::any_of(files.begin(), files.end(), is_cifar_batch)) {
    std::erase_if(files, [](const std::string& file) {
      const std::string word = file_ending(file);
      return word == ".txt" || word == ".html";
    });
  }
  return files;
}

std::string find_kind(const std::vector<std::string>& files, bool image_size_given) {
  const std::set<std::string> image = {".png", ".jpg", ".jpeg", ".npy"};
  const std::set<std::string> sound = {".wav", ".flac"};
  const auto kind_of = [&](const std::string& file) {
    const std::string word = file_ending(file);
    if (image.contains(word) || is_cifar_batch(file) || (image_size_given && word == ".bin")) return "image";
    return sound.contains(word) ? "sound" : "text";
  };
  if (files.empty()) return "text";
  const std::string kind = kind_of(files.front());
  const auto other = std::find_if(files.begin(), files.end(), [&](const auto& file) { return kind_of(file) != kind; });
  if (other == files.end()) return kind;
  const std::string other_kind = kind_of(*other);
  throw Error(ErrorKind::invalid_argument,
              fmt::format("data.paths: \"{}\" is {}, \"{}\" is {}; name files of one kind, or --set data.kind=text to "
                          "take all as bytes, or --set data.kind={} --set data.unreadable=skip to leave others out",
                          files.front(), kind, *other, other_kind, kind == "text" ? other_kind : kind));
}

}  // namespace longstride
