// This walks folders for their files and finds out of which kind they are.
#include "data/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "data/decoded.h"
#include "data/foreign.h"
#include "data/own_files.h"
#include "data/picture_files.h"
#include "io/run_parts.h"
#include "io/system.h"
#include "io/waits.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTakesWords = "takes the words of this program";

bool is_run(const fs::path& folder) {
  std::error_code none;
  return fs::is_regular_file(folder / kConfigFile, none) && fs::is_directory(folder / kCheckpointFolder, none);
}

// What this user may not read: an error, or left out where that was asked for.
class Refusals {
 public:
  Refusals(Unreadable unreadable, std::vector<LeftOut>& refused)
      : skips_(unreadable == Unreadable::skip), refused_(refused) {}

  // Throws for this errno, or notes the path.
  void add(const char* action, const std::string& path, int reason, bool folder = false) {
    try {
      errno = reason;
      fail_system(action, path);
    } catch (const Error& error) {
      if (!skips_ || (reason != EACCES && reason != EPERM)) throw;
      refused_.push_back({path, error.what(), folder});
    }
  }

  void remove_from(std::vector<std::string>& files) {
    if (!skips_) return;
    std::erase_if(files, [&](const std::string& path) {
      const Descriptor file(open_path(path, O_RDONLY | O_NONBLOCK));
      const bool forbidden = file.get() < 0 && (errno == EACCES || errno == EPERM);
      if (forbidden) add("open", path, errno);
      return forbidden;
    });
  }

 private:
  bool skips_;
  std::vector<LeftOut>& refused_;
};

class Walk {
 public:
  Walk(const Outputs& outputs, const std::set<FileIdentity>& words, Refusals& refusals, FileList& all)
      : run_path_(outputs.run),
        run_(file_identity(outputs.run)),
        of_run_(outputs.run),
        words_(words),
        refusals_(refusals),
        all_(all) {
    for (const std::string& cache : outputs.caches)
      if (const std::optional<FileIdentity> found = file_identity(cache)) caches_.insert(*found);
  }

  // Adds what counts as data below a folder.
  void list(const fs::path& folder, std::vector<std::string>& files) {
    const std::optional<FileIdentity> found = file_identity(folder.string());
    if (!found) fail_system("read", folder.string());
    if (found == run_ || above_.contains(*found)) return;
    if (::faccessat(AT_FDCWD, folder.c_str(), R_OK, AT_EACCESS) != 0 && errno == EACCES)
      return refusals_.add("read", folder.string(), EACCES, true);
    above_.insert(*found);
    for (const std::string& name : names_in(folder.string())) {
      if (name.starts_with('.') || (caches_.contains(*found) && is_decoded_name(name))) continue;
      add(folder / name, files);
    }
    above_.erase(*found);
  }

 private:
  void add(const fs::path& path, std::vector<std::string>& files) {
    std::error_code missing;  // a link to nowhere is no file
    if (is_written(path)) return;
    const fs::file_status entry = fs::status(path, missing);
    if (missing.value() == EACCES) {
      refusals_.add("open", path.string(), EACCES);
    } else if (fs::is_regular_file(entry)) {
      files.push_back(path.string());
    } else if (fs::is_directory(entry)) {
      enter(path, files);
    } else {
      all_.passed.push_back({path.string(), fs::exists(entry) ? "is no file" : "leads nowhere"});
    }
  }

  // Whether an entry is left out because the run or this program writes it, which is noted.
  bool is_written(const fs::path& path) {
    std::error_code none;
    const std::optional<FileIdentity> found = file_identity(path.string());
    const bool leads_there =
        !run_path_.empty() && fs::is_symlink(fs::symlink_status(path, none)) && of_run_.has_path(path.string());
    const bool of_run = leads_there || (found && of_run_.has(*found));
    if (of_run && !leads_there && fs::is_regular_file(fs::status(path, none)))
      throw_invalid(
          fmt::format("data.paths: \"{}\" is a file that the run \"{}\" writes itself; remove it from the data, "
                      "or name another --out",
                      path.string(), run_path_));
    if (of_run) all_.written.push_back({path.string(), "is written by the run itself"});
    const bool words = !of_run && found && words_.contains(*found);
    if (words) all_.written.push_back({path.string(), kTakesWords});
    return of_run || words;
  }

  void enter(const fs::path& folder, std::vector<std::string>& files) {
    if (!is_run(folder)) return list(folder, files);
    if (file_identity(folder.string()) != run_) all_.runs.push_back(folder.string());
  }

  std::string run_path_;  // as it was named
  std::optional<FileIdentity> run_;
  FilesOfRun of_run_;
  const std::set<FileIdentity>& words_;  // files that take the words of this program
  std::set<FileIdentity> caches_;
  std::set<FileIdentity> above_;  // the folders that lead here; a link back to one of them would go round for ever
  Refusals& refusals_;
  FileList& all_;
};

// Copies of a file are other files; links to it, and folders that were named beside what is in them, are not.
std::vector<std::pair<std::string, std::string>> named_again(const std::vector<std::string>& files) {
  std::vector<std::pair<std::string, std::string>> again;
  std::map<FileIdentity, std::string> known;
  for (const std::string& path : files) {
    const std::optional<FileIdentity> found = file_identity(path);
    if (!found) continue;
    const auto [first, is_new] = known.try_emplace(*found, path);
    if (!is_new) again.emplace_back(path, first->second);
  }
  return again;
}

}  // namespace

FileList list_files(const std::vector<std::string>& paths, const Outputs& outputs, Unreadable unreadable) {
  FileList all;
  Refusals refusals(unreadable, all.refused);
  const std::set<FileIdentity> words = files_of_words();
  std::optional<Walk> walk;  // of all folders: it looks through the run's own
  for (const std::string& path : paths) {
    require_open_input(path);
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) {
      refusals.add("open", path, errno);
      continue;
    }
    if (!S_ISDIR(status.st_mode)) {
      if (words.contains({status.st_dev, status.st_ino}))
        throw_invalid(fmt::format("data.paths: \"{}\" {} itself; name other data", path, kTakesWords));
      all.files.push_back(path);
      continue;
    }
    if (is_run(path) && file_identity(path) != file_identity(outputs.run))
      throw_invalid(
          fmt::format("data.paths: \"{}\" is a run, whose files are no data; where it is meant as RUN, put it "
                      "before --data",
                      path));
    if (outputs.run != "" && file_identity(path) == file_identity(outputs.run))
      throw_invalid(fmt::format(
          "data.paths: \"{}\" is the folder that is trained into, whose files are no data; name another --out", path));
    std::vector<std::string> below;
    const std::size_t before = all.refused.size();
    if (!walk) walk.emplace(outputs, words, refusals, all);
    walk->list(path, below);
    if (below.empty() && all.refused.size() == before) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("\"{}\": the folder holds no files (hidden ones and those of runs do not count)", path));
    }
    std::sort(below.begin(), below.end());
    all.files.insert(all.files.end(), below.begin(), below.end());
  }
  std::sort(all.runs.begin(), all.runs.end());
  for (std::vector<Passed>* passed : {&all.passed, &all.written})
    std::sort(passed->begin(), passed->end(), [](const Passed& a, const Passed& b) { return a.path < b.path; });
  refusals.remove_from(all.files);
  if (all.files.empty() && !all.refused.empty()) {
    throw Error(ErrorKind::exhausted, fmt::format("nothing could be read: {}", all.refused.front().reason));
  }
  all.again = named_again(all.files);
  return all;
}

std::string file_ending(const std::string& file) {
  std::string word = fs::path(file).extension().string();
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word;
}

std::string kind_by_name(const std::string& file, bool image_size_given) {
  static const std::set<std::string> image = {".png", ".jpg", ".jpeg", ".npy"}, sound = {".wav", ".flac"};
  const std::string word = file_ending(file);
  if (image.contains(word) || is_cifar_batch(file) || (image_size_given && word == ".bin")) return "image";
  return sound.contains(word) ? "sound" : "text";
}

void refuse_empty(const std::vector<std::string>& named) {
  for (const std::string& path : named) {
    std::error_code none;
    if (fs::is_regular_file(path, none) && fs::file_size(path, none) == 0)
      throw_invalid(fmt::format("\"{}\" is empty", path));
  }
}

bool are_wrong_files(const Error& error, const std::vector<std::string>& files, const std::string& kind) {
  if (error.kind() != ErrorKind::corrupt_data || kind == "text") return false;
  return std::none_of(files.begin(), files.end(), [&](const std::string& file) {
    std::error_code none;
    return kind_by_name(file, true) == kind || fs::file_size(file, none) == 0;
  });
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
  const auto kind_of = [&](const std::string& file) { return kind_by_name(file, image_size_given); };
  if (files.empty()) return "text";
  refuse_foreign_names(files);
  const std::string kind = kind_of(files.front());
  const auto other = std::find_if(files.begin(), files.end(), [&](const auto& file) { return kind_of(file) != kind; });
  if (other == files.end() && kind == "text") refuse_foreign_bytes(files);
  if (other == files.end()) return kind;
  const std::string other_kind = kind_of(*other);
  throw Error(ErrorKind::invalid_argument,
              fmt::format("data.paths: \"{}\" is {}, \"{}\" is {}; name files of one kind, or --set data.kind=text to "
                          "take all as bytes, or --set data.kind={} --set data.unreadable=skip to leave others out",
                          files.front(), kind, *other, other_kind, kind == "text" ? other_kind : kind));
}

}  // namespace longstride
