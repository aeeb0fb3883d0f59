// A library for LD_PRELOAD that stands between a program and the file calls of the C library: it counts those that
// touch one folder, writes them down, and lets the one that is asked for fail, or ends the process there as SIGKILL
// does.
//
//   LONGSTRIDE_FAULTS_BELOW    the folder, absolute; calls outside it pass unseen
//   LONGSTRIDE_FAULTS_TRACE    file for a line a call: number, name, path and, of a rename, the other path, by tabs
//   LONGSTRIDE_FAULTS_AT       number of the call to act on, from 1; "every": each call: a write does half of it, and
//   of
//                              those that a signal may interrupt (EINTR) every other one fails
//   LONGSTRIDE_FAULTS_DO       kill: before the call; cut: a write does half of it, then the process is killed;
//                              short: a write does half of it; a number: the call does nothing and fails with this
//                              errno
//   LONGSTRIDE_FAULTS_DURABLE  folder of what would survive a power cut (durable.h)
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "durable.h"

namespace {

constexpr int kMostDescriptors = 4096;
std::atomic<bool> watched[kMostDescriptors];  // descriptors of what lies below the folder
constexpr int kMostEqual = 1 << 16;
std::atomic<unsigned char> interrupted[kMostEqual];  // for "every": the last call of this name and path was
std::atomic<long> calls{0};

enum class Fault { none, fail, half, half_and_kill };

struct Settings {
  const char* below = std::getenv("LONGSTRIDE_FAULTS_BELOW");
  const char* action = std::getenv("LONGSTRIDE_FAULTS_DO");
  long at = 0;
  bool every = false;
  int trace = -1;
  Settings() {
    if (const char* text = std::getenv("LONGSTRIDE_FAULTS_AT")) {
      every = std::strcmp(text, "every") == 0;
      at = std::atol(text);
    }
    if (const char* path = std::getenv("LONGSTRIDE_FAULTS_TRACE"))
      trace = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (const char* path = std::getenv("LONGSTRIDE_FAULTS_DURABLE")) faults::keep_durable(path);
  }
};

Settings& settings() {
  static Settings all;
  return all;
}

// The C library's own function of a name.
template <typename Function>
Function* own(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define OWN(name) static auto* const own_##name = own<decltype(name)>(#name)

bool is_below(const char* path) {
  const char* folder = settings().below;
  if (folder == nullptr || path == nullptr) return false;
  const std::size_t length = std::strlen(folder);
  return std::strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool is_watched(int descriptor) {
  return descriptor >= 0 && descriptor < kMostDescriptors && watched[descriptor].load();
}

void watch(int descriptor, bool on) {
  if (descriptor < 0 || descriptor >= kMostDescriptors) return;
  watched[descriptor].store(on);
}

struct Place {  // an absolute path
  char text[PATH_MAX] = "";
};

Place place_of(int descriptor) {
  Place place;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const long length = ::syscall(SYS_readlinkat, AT_FDCWD, link, place.text, sizeof place.text - 1);
  place.text[length < 0 ? 0 : length] = '\0';
  return place;
}

Place place_of(int folder, const char* path) {
  Place place;
  if (path[0] == '/' || folder == AT_FDCWD) {
    std::snprintf(place.text, sizeof place.text, "%s", path);
    return place;
  }
  place = place_of(folder);
  const std::size_t length = std::strlen(place.text);
  std::snprintf(place.text + length, sizeof place.text - length, "/%s", path);
  return place;
}

[[noreturn]] void end_as_killed() {
  for (;;) ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL);
}

unsigned hash(const char* name, const char* path) {  // FNV-1a
  unsigned value = 2166136261u;
  for (const char* text : {name, path})
    for (; *text != '\0'; ++text) value = (value ^ static_cast<unsigned char>(*text)) * 16777619u;
  return value;
}

bool may_be_interrupted(const char* name) {
  for (const char* one : {"open", "open-write", "read", "write", "fsync", "flock", "ftruncate"})
    if (std::strcmp(name, one) == 0) return true;
  return false;
}

// Counts a call and says what is to become of it. With `fail` errno is set.
Fault arrive(const char* name, const char* path, const char* other = "") {
  const Settings& s = settings();
  const long number = ++calls;
  if (s.trace >= 0) {
    char line[3 * PATH_MAX];
    const int length = std::snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\n", number, name, path, other);
    ::syscall(SYS_write, s.trace, line, static_cast<std::size_t>(length));
  }
  if (s.action == nullptr || (!s.every && number != s.at)) return Fault::none;
  if (std::strcmp(s.action, "kill") == 0) end_as_killed();
  if (std::strcmp(s.action, "cut") == 0) return Fault::half_and_kill;
  if (std::strcmp(s.action, "short") == 0) return Fault::half;
  // What is interrupted every time never comes to an end: of equal calls each second one passes.
  if (s.every && (!may_be_interrupted(name) || interrupted[hash(name, path) % kMostEqual].fetch_xor(true)))
    return Fault::none;
  errno = std::atoi(s.action);
  return Fault::fail;
}

Fault arrive(const char* name, int descriptor) { return arrive(name, place_of(descriptor).text); }

// A call on paths that either is let through or fails.
template <typename Call>
int on_path(const char* name, const char* path, Call call) {
  if (!is_below(path)) return call();
  return arrive(name, path) == Fault::fail ? -1 : call();
}

template <typename Call>
int on_paths(const char* name, const char* from, const char* to, Call call) {
  if (!is_below(from) && !is_below(to)) return call();
  return arrive(name, from, to) == Fault::fail ? -1 : call();
}

template <typename Call>
int on_descriptor(const char* name, int descriptor, Call call) {
  if (!is_watched(descriptor)) return call();
  return arrive(name, descriptor) == Fault::fail ? -1 : call();
}

template <typename Call>
ssize_t on_write(const char* name, int descriptor, std::size_t size, Call call) {
  if (!is_watched(descriptor)) return call(size);
  const Fault fault = arrive(name, descriptor);
  if (fault == Fault::fail) return -1;
  const std::size_t half = size > 1 ? size / 2 : size;
  if (fault == Fault::half) return call(half);
  if (fault != Fault::half_and_kill) return call(size);
  call(half);
  end_as_killed();
}

template <typename Call>
int on_open(int folder, const char* path, int flags, Call call) {
  const Place place = place_of(folder, path);
  if (!is_below(place.text)) return call();
  const bool writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
  if (arrive(writes ? "open-write" : "open", place.text) == Fault::fail) return -1;
  const bool was_there = ::syscall(SYS_faccessat, AT_FDCWD, place.text, F_OK) == 0;
  const int descriptor = call();
  if (descriptor >= 0) {
    watch(descriptor, true);
    if (!was_there) faults::made(place.text);
  }
  return descriptor;
}

mode_t mode_of(int flags, std::va_list& rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

}  // namespace

extern "C" {

// For a process that has set the variables itself, after it was started without them.
void file_calls_begin() {
  settings() = Settings();
  calls = 0;
}

#define OPEN(name)                                                                        \
  int name(const char* path, int flags, ...) {                                            \
    OWN(name);                                                                            \
    std::va_list rest;                                                                    \
    va_start(rest, flags);                                                                \
    const mode_t mode = mode_of(flags, rest);                                             \
    va_end(rest);                                                                         \
    return on_open(AT_FDCWD, path, flags, [&] { return own_##name(path, flags, mode); }); \
  }
#define OPEN_AT(name)                                                                           \
  int name(int folder, const char* path, int flags, ...) {                                      \
    OWN(name);                                                                                  \
    std::va_list rest;                                                                          \
    va_start(rest, flags);                                                                      \
    const mode_t mode = mode_of(flags, rest);                                                   \
    va_end(rest);                                                                               \
    return on_open(folder, path, flags, [&] { return own_##name(folder, path, flags, mode); }); \
  }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

ssize_t write(int descriptor, const void* bytes, std::size_t size) {
  OWN(write);
  return on_write("write", descriptor, size, [&](std::size_t some) { return own_write(descriptor, bytes, some); });
}
ssize_t pwrite(int descriptor, const void* bytes, std::size_t size, off_t at) {
  OWN(pwrite);
  return on_write("write", descriptor, size, [&](std::size_t some) { return own_pwrite(descriptor, bytes, some, at); });
}
int fsync(int descriptor) {
  OWN(fsync);
  return on_descriptor("fsync", descriptor, [&] {
    const int result = own_fsync(descriptor);
    if (result == 0 && is_watched(descriptor)) faults::synced(descriptor);
    return result;
  });
}
int close(int descriptor) {
  OWN(close);
  if (!is_watched(descriptor)) return own_close(descriptor);
  const Fault fault = arrive("close", place_of(descriptor).text);
  const int reason = errno;
  watch(descriptor, false);
  const int result = own_close(descriptor);  // Linux closes it in any case
  if (fault != Fault::fail) return result;
  errno = reason;
  return -1;
}
ssize_t read(int descriptor, void* bytes, std::size_t size) {
  OWN(read);
  if (is_watched(descriptor) && arrive("read", descriptor) == Fault::fail) return -1;
  return own_read(descriptor, bytes, size);
}
ssize_t pread(int descriptor, void* bytes, std::size_t size, off_t at) {
  OWN(pread);
  if (is_watched(descriptor) && arrive("read", descriptor) == Fault::fail) return -1;
  return own_pread(descriptor, bytes, size, at);
}
int fchmod(int descriptor, mode_t mode) noexcept {
  OWN(fchmod);
  return on_descriptor("chmod", descriptor, [&] { return own_fchmod(descriptor, mode); });
}
int fchown(int descriptor, uid_t owner, gid_t group) noexcept {
  OWN(fchown);
  return on_descriptor("chmod", descriptor, [&] { return own_fchown(descriptor, owner, group); });
}
int chmod(const char* path, mode_t mode) noexcept {
  OWN(chmod);
  return on_path("chmod", path, [&] { return own_chmod(path, mode); });
}
int faccessat(int folder, const char* path, int mode, int flags) noexcept {
  OWN(faccessat);
  return on_path("stat", path, [&] { return own_faccessat(folder, path, mode, flags); });
}
int ftruncate(int descriptor, off_t size) noexcept {
  OWN(ftruncate);
  return on_descriptor("ftruncate", descriptor, [&] { return own_ftruncate(descriptor, size); });
}
off_t lseek(int descriptor, off_t offset, int whence) noexcept {
  OWN(lseek);
  if (!is_watched(descriptor)) return own_lseek(descriptor, offset, whence);
  return arrive("lseek", descriptor) == Fault::fail ? -1 : own_lseek(descriptor, offset, whence);
}
int flock(int descriptor, int operation) noexcept {
  OWN(flock);
  return on_descriptor("flock", descriptor, [&] { return own_flock(descriptor, operation); });
}
int fstat(int descriptor, struct stat* status) noexcept {
  OWN(fstat);
  return on_descriptor("stat", descriptor, [&] { return own_fstat(descriptor, status); });
}
int stat(const char* path, struct stat* status) noexcept {
  OWN(stat);
  return on_path("stat", path, [&] { return own_stat(path, status); });
}
int lstat(const char* path, struct stat* status) noexcept {
  OWN(lstat);
  return on_path("stat", path, [&] { return own_lstat(path, status); });
}
void* mmap(void* address, std::size_t size, int protection, int flags, int descriptor, off_t at) noexcept {
  if (is_watched(descriptor) && arrive("mmap", descriptor) == Fault::fail) return MAP_FAILED;
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, size, protection, flags, descriptor, at));
}
ssize_t readlink(const char* path, char* text, std::size_t size) noexcept {
  OWN(readlink);
  if (is_below(path) && arrive("readlink", path) == Fault::fail) return -1;
  return own_readlink(path, text, size);
}
struct dirent* readdir(DIR* folder) {
  OWN(readdir);
  if (is_watched(::dirfd(folder)) && arrive("readdir", ::dirfd(folder)) == Fault::fail) return nullptr;
  return own_readdir(folder);
}
DIR* opendir(const char* path) {
  OWN(opendir);
  if (is_below(path) && arrive("open", path) == Fault::fail) return nullptr;
  DIR* const folder = own_opendir(path);
  if (folder != nullptr && is_below(path)) watch(::dirfd(folder), true);
  return folder;
}
int closedir(DIR* folder) {
  OWN(closedir);
  watch(::dirfd(folder), false);
  return own_closedir(folder);
}
int mkdir(const char* path, mode_t mode) noexcept {
  OWN(mkdir);
  return on_path("mkdir", path, [&] {
    const int result = own_mkdir(path, mode);
    if (result == 0 && is_below(path)) faults::made(path);
    return result;
  });
}
int unlink(const char* path) noexcept {
  OWN(unlink);
  return on_path("unlink", path, [&] { return own_unlink(path); });
}
int rmdir(const char* path) noexcept {
  OWN(rmdir);
  return on_path("unlink", path, [&] { return own_rmdir(path); });
}
int remove(const char* path) noexcept {
  OWN(remove);
  return on_path("unlink", path, [&] { return own_remove(path); });
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  OWN(unlinkat);
  return on_path("unlink", place_of(folder, path).text, [&] { return own_unlinkat(folder, path, flags); });
}
int symlink(const char* target, const char* path) noexcept {
  OWN(symlink);
  return on_path("symlink", path, [&] { return own_symlink(target, path); });
}
int link(const char* from, const char* to) noexcept {
  OWN(link);
  return on_paths("link", from, to, [&] { return own_link(from, to); });
}
int rename(const char* from, const char* to) noexcept {
  OWN(rename);
  return on_paths("rename", from, to, [&] { return own_rename(from, to); });
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  OWN(renameat2);
  return on_paths((flags & RENAME_EXCHANGE) != 0 ? "exchange" : "rename", place_of(from_folder, from).text,
                  place_of(to_folder, to).text, [&] { return own_renameat2(from_folder, from, to_folder, to, flags); });
}

}  // extern "C"
