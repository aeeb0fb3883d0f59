// What reaches the disk and in which order. The calls of the system that matter are this program's own: they note what
// is asked of them, and cut it short or interrupt it where a test says so.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/scratch.h"
#include "io/system.h"

namespace {

struct Calls {
  bool watched = false;
  std::vector<std::string> notes;
  std::size_t most = SIZE_MAX;  // bytes that one call reads or writes
  int until_interrupted = 0;    // calls up to one that is interrupted, again and again; 0: none is
  int made = 0;

  // False where the call is to be interrupted.
  bool go_on() {
    ++made;
    if (!watched || until_interrupted == 0 || made % until_interrupted != 0) return true;
    errno = EINTR;
    return false;
  }
};
Calls calls;

// The last part of a path, without the numbers that make a name unique.
std::string short_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.find('.');
  return name.ends_with(".partial") ? name.substr(0, dot) + ".partial" : name;
}

std::string name_of(int descriptor) {
  char path[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path, sizeof path);
  return short_name(std::string(path, static_cast<std::size_t>(std::max<ssize_t>(length, 0))));
}

// What `work` asked of the system, in order.
template <class Work>
std::vector<std::string> notes_of(const Work& work) {
  calls = {};
  calls.watched = true;
  work();
  calls.watched = false;
  return calls.notes;
}

}  // namespace

extern "C" int fsync(int descriptor) {
  if (calls.watched) calls.notes.push_back("sync " + name_of(descriptor));
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (calls.watched) calls.notes.push_back("rename " + short_name(from) + " to " + short_name(to));
  return static_cast<int>(::syscall(SYS_rename, from, to));
}

extern "C" ssize_t write(int descriptor, const void* bytes, std::size_t count) {
  if (!calls.go_on()) return -1;
  return ::syscall(SYS_write, descriptor, bytes, calls.watched ? std::min(count, calls.most) : count);
}

extern "C" ssize_t pread(int descriptor, void* bytes, std::size_t count, off_t offset) {
  if (!calls.go_on()) return -1;
  return ::syscall(SYS_pread64, descriptor, bytes, calls.watched ? std::min(count, calls.most) : count, offset);
}

namespace longstride {
namespace {

using Notes = std::vector<std::string>;

TEST(Durability, AFileIsOnTheDiskBeforeItHasItsNameAndItsNameAfterwards) {
  const Scratch scratch;
  const Notes notes = notes_of([&] { write_file_atomically(scratch / "file", std::string_view("bytes")); });
  EXPECT_EQ(notes, (Notes{"sync file.partial", "rename file.partial to file", "sync " + short_name(scratch.path())}));
}

TEST(Durability, AFolderIsOnTheDiskWithItsFilesBeforeItHasItsNameAndItsNameAfterwards) {
  const Scratch scratch;
  const std::string aside = begin_directory(scratch / "folder");
  std::ofstream(aside + "/inside") << "bytes";
  const Notes notes = notes_of([&] { commit_directory(scratch / "folder"); });
  EXPECT_EQ(notes, (Notes{"sync inside", "sync folder.partial", "rename folder.partial to folder",
                          "sync " + short_name(scratch.path())}));
}

TEST(Durability, ALinkIsOnTheDiskWhenItWasReplaced) {
  const Scratch scratch;
  const Notes notes = notes_of([&] { replace_symlink("target", scratch / "link"); });
  EXPECT_EQ(notes, (Notes{"rename link.partial to link", "sync " + short_name(scratch.path())}));
}

TEST(Durability, LinesAreOnTheDiskWhenTheyWereSynced) {
  const Scratch scratch;
  LineWriter lines(scratch / "log");
  EXPECT_EQ(notes_of([&] { lines.write("a line"); }), Notes{});
  EXPECT_EQ(notes_of([&] { lines.sync(); }), Notes{"sync log"});
}

TEST(Durability, WritesAndReadsThatAreCutOrInterruptedGoOnUntilAllIsDone) {
  const Scratch scratch;
  const std::string text = "a text that takes many calls";
  std::string read(text.size(), '\0');
  calls = {};
  calls.most = 3;
  calls.until_interrupted = 2;
  calls.watched = true;
  write_file_atomically(scratch / "file", text);
  const int written = calls.made;
  {
    const Descriptor file(::open((scratch / "file").c_str(), O_RDONLY | O_CLOEXEC));
    read_all(file.get(), 0, {reinterpret_cast<std::uint8_t*>(read.data()), read.size()}, scratch / "file");
  }
  calls.watched = false;
  EXPECT_EQ(read, text);
  EXPECT_GE(written, 2 * 28 / 3);
  EXPECT_GE(calls.made - written, 2 * 28 / 3);
  EXPECT_EQ(read_text(scratch / "file"), text);
}

}  // namespace
}  // namespace longstride
