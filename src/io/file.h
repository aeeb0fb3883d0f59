// Files that are there whole or not at all: reading by position, writing aside with rename, logs that survive a crash.
// Every error names the file and gives the system's words; kinds: invalid_argument where the path is wrong (missing, a
// directory), exhausted where the system refuses (no permission, disk full).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "io/system.h"
#include "longstride/file.h"

namespace longstride {

// A regular file that is read by position and held open: what is renamed over it changes nothing. It is not mapped, for
// a map of a file that somebody shortens ends the program by SIGBUS; a read is Error corrupt_data. Safe for many
// threads.
class InputFile {
 public:
  explicit InputFile(const std::string& path);

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }  // when it was opened
  ino_t inode() const { return inode_; }       // another one is another file

  void read(std::int64_t offset, std::span<std::uint8_t> into) const;  // fills it all
  std::vector<std::uint8_t> read(std::int64_t offset, std::int64_t count) const;
  std::vector<std::uint8_t> beginning(std::int64_t most) const;
  std::vector<std::uint8_t> all() const { return beginning(size_); }
  std::string text() const;  // all of it
  // Calls `take` with block after block of [begin, end).
  void each_block(std::int64_t begin, std::int64_t end,
                  const std::function<void(std::span<const std::uint8_t> block)>& take) const;

 private:
  std::string path_;
  Descriptor file_;
  std::int64_t size_ = 0;
  ino_t inode_ = 0;
};

std::string sha256_of(const InputFile& file);  // of all its bytes, as 64 small hexadecimal digits

// A file that appears under its name only when commit() has synced and renamed it; without commit() nothing of it stays
// and a file that was there before is untouched. It gets the mode and the owner of the one that it replaces, which must
// be one that may be written. Written under a name of its own in the same directory; a link's target
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

// Throws where `path` itself is something else than a plain file: a link, a folder, a pipe. Nothing there is right.
// Error invalid_argument.
void require_plain_file(const std::string& path);

// Appends lines to a plain file, one system call a line, so that a crash cuts at most the last one.
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

  // What befell the lines that were written, by others: "was removed", "was replaced", "was shortened". Empty: nothing,
  // or the system does not say.
  std::string loss() const;
  void reopen();  // goes on in the file that lies at the path, which is made where there is none

 private:
  void open();

  std::string path_;
  std::int64_t size_ = 0;  // with all that was written
  int descriptor_ = -1;
};

// Makes a folder and those above it; takes away again what it made itself, as long as that is empty, unless told to
// keep or to leave it.
class NewFolder {
 public:
  explicit NewFolder(const std::string& folder);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep();                     // and makes it survive a power cut
  void leave() { made_.clear(); }  // somebody else uses it

 private:
  std::error_code make(const std::string& folder);
  void remove();

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
