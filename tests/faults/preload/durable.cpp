// This copies what was synced, by system calls alone: the calls of the C library are the ones that are stood between.
#include "durable.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>

namespace faults {
namespace {

constexpr int kMostPath = PATH_MAX + 64;

char kept[PATH_MAX] = "";  // the folder; empty: nothing is kept

struct Entry {  // as the kernel writes it, see getdents64(2)
  ino64_t inode;
  off64_t offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

int open_file(int folder, const char* path, int flags) {
  return static_cast<int>(::syscall(SYS_openat, folder, path, flags | O_CLOEXEC, 0600));
}
void close_file(int descriptor) { ::syscall(SYS_close, descriptor); }
void write_all(int descriptor, const char* bytes, long size) {
  for (long done = 0; done < size;) {
    const long written = ::syscall(SYS_write, descriptor, bytes + done, size - done);
    if (written <= 0) return;
    done += written;
  }
}

void name_of(char* path, ino64_t inode, int count) {
  std::snprintf(path, kMostPath, "%s/%llu.%d", kept, static_cast<unsigned long long>(inode), count);
}

// How many things had this number so far.
int count_of(ino64_t inode) {
  char path[kMostPath];
  for (int count = 0;; ++count) {
    name_of(path, inode, count);
    if (::syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0) return count;
  }
}

// The file for the newest thing of this number, empty; `anew`: for one more.
int begin(ino64_t inode, bool anew) {
  const int count = count_of(inode);
  char path[kMostPath];
  name_of(path, inode, anew || count == 0 ? count : count - 1);
  return open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC);
}

void keep_entries(int folder, int into) {
  alignas(Entry) char buffer[1 << 14];
  for (long size; (size = ::syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0;) {
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      if (std::strcmp(entry->name, ".") == 0 || std::strcmp(entry->name, "..") == 0) continue;
      char line[2 * PATH_MAX], target[PATH_MAX];
      int length = 0;
      if (entry->type == DT_LNK) {
        const long end = ::syscall(SYS_readlinkat, folder, entry->name, target, sizeof target - 1);
        target[end < 0 ? 0 : end] = '\0';
        length = std::snprintf(line, sizeof line, "link\t%s\t%s\n", target, entry->name);
      } else {
        const int count = count_of(entry->inode);
        length = std::snprintf(line, sizeof line, "%s\t%llu.%d\t%s\n", entry->type == DT_DIR ? "folder" : "file",
                               static_cast<unsigned long long>(entry->inode), count > 0 ? count - 1 : 0, entry->name);
      }
      write_all(into, line, length);
    }
  }
}

}  // namespace

void keep_durable(const char* folder) { std::snprintf(kept, sizeof kept, "%s", folder); }

void made(const char* path) {
  struct stat status = {};
  if (kept[0] == '\0' || ::syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  close_file(begin(status.st_ino, true));
}

void synced(int descriptor) {
  struct stat status = {};
  if (kept[0] == '\0' || ::syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH) != 0) return;
  // The descriptor may be one that only writes, or stand anywhere: what it stands for is opened once more.
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const int from = open_file(AT_FDCWD, link, O_RDONLY), into = begin(status.st_ino, false);
  if (S_ISDIR(status.st_mode)) {
    keep_entries(from, into);
  } else {
    char buffer[1 << 14];
    for (long size; (size = ::syscall(SYS_read, from, buffer, sizeof buffer)) > 0;) write_all(into, buffer, size);
  }
  close_file(from);
  close_file(into);
}

}  // namespace faults
