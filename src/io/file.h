// Files that are there whole or not at all: mapped reading, writing aside with rename, logs that survive a crash.
// Every error names the file and gives the system's words; kinds: invalid_argument where the path is wrong (missing, a
// directory), exhausted where the system refuses (no permission, disk full).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/file.h"

namespace longstride {

// A regular file mapped read-only; pages are read as they are touched. The file must not shrink while it is mapped.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }
  std::span<const std::uint8_t> bytes() const { return {data_, static_cast<std::size_t>(size_)}; }  // may be empty
  // Gives the pages of [begin, end) back: reading them again finds the same bytes, the process no longer holds them.
  void forget(std::int64_t begin, std::int64_t end) const;

 private:
  std::string path_;
  const std::uint8_t* data_ = nullptr;
  std::int64_t size_ = 0;
};

std::string read_text(const std::string& path);

// A file that appears under its name only when commit() has synced and renamed it; without commit() nothing of it stays
// and a file that was there before is untouched. Written under a name of its own in the same directory; a link's target
// is what is replaced. What is written in place has no such name: it takes bytes as they come, and cannot be
// overwritten or shortened. write_file_atomically (longstride/file.h) does all of it in one call.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::uint8_t> bytes);
  void overwrite(std::int64_t offset, std::span<const std::uint8_t> bytes);  // of what was appended before
  void shorten(std::int64_t size);                                           // drops what was appended beyond it
  void commit();                                                             // at most once

 private:
  std::string path_;           // as given, for messages
  std::string place_, aside_;  // what aside_ is renamed to; both empty where bytes go in place
  int descriptor_ = -1;
};

// Removes what AtomicFiles of this path left whose processes were killed; what one is writing stays, and so does all
// where the file system knows no locks.
void remove_abandoned(const std::string& path);

// True for what is no file but takes bytes: a pipe, a device, a descriptor under /proc (where /dev/stdout leads).
bool is_written_in_place(const std::string& path);

// Appends lines to a file, one system call a line, so that a crash cuts at most the last one.
class LineWriter {
 public:
  // Opens or makes the file. A last line without its newline is dropped, and so is every line for which `keep` is false
  // (a resumed run drops what lies beyond its step); the file is then rewritten atomically.
  explicit LineWriter(const std::string& path, const std::function<bool(std::string_view line)>& keep = {});
  ~LineWriter();
  LineWriter(LineWriter&& other) noexcept;
  LineWriter& operator=(LineWriter&& other) noexcept;

  void write(std::string_view line);  // without the newline, which must not occur in it
  void sync();

 private:
  std::string path_;
  int descriptor_ = -1;
};

// Makes a folder and those above it; takes away again what it made, as long as that is empty, unless told to keep it.
class NewFolder {
 public:
  explicit NewFolder(const std::string& folder);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  // the innermost first
};

// Makes what was renamed or made in a directory survive a power cut.
void sync_directory(const std::string& path);

// A directory that is there whole or not at all: begin_directory makes an empty PATH.partial (what an interrupted run
// left of it is removed) and returns its path; commit_directory syncs all files below it, renames it to PATH, in the
// place of what was there, and syncs the parent. Where a file system cannot exchange two directories, each file takes
// its predecessor's place by itself.
std::string begin_directory(const std::string& path);
void commit_directory(const std::string& path);

// Makes `link` a symbolic link to `target` (relative to the link's directory), in one step where it was one before.
void replace_symlink(const std::string& target, const std::string& link);

}  // namespace longstride
