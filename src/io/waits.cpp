// This opens without waiting, and waits by poll with a look at the flag now and then: signals that are taken by a
// thread of their own interrupt no call.
#include "io/waits.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <initializer_list>
#include <string_view>

#include <fmt/format.h>

#include "longstride/error.h"
#include "longstride/file.h"

namespace longstride {
namespace {

constexpr int kLookAround_ms = 100;
constexpr int kLooksAfterStop = 20;  // of a writer

std::atomic<const std::atomic<bool>*> end_asked{nullptr};

bool is_to_end() {
  const std::atomic<bool>* asked = end_asked.load();
  return asked != nullptr && asked->load();
}

[[noreturn]] void end_wait_to_read(const std::string& path) {
  throw Error(ErrorKind::stopped, fmt::format("stopped while it waited for what \"{}\" gives", path));
}

[[noreturn]] void end_wait_to_write(const std::string& path) {
  throw Error(ErrorKind::stopped, fmt::format("stopped while it waited for somebody to read \"{}\"", path));
}

// Whether the descriptor is ready, or has failed, which the call that follows says.
bool comes(int descriptor, short events) {
  pollfd ready = {descriptor, events, 0};
  return ::poll(&ready, 1, kLookAround_ms) > 0;
}

bool is_standard_input(std::string_view path) {
  const auto names = {"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"};
  return std::find(names.begin(), names.end(), path) != names.end();
}

// A program may have put what cannot be read in the place of a descriptor that it was started without.
bool is_closed(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags < 0 || (flags & O_PATH) != 0;
}

Descriptor standard_input() { return Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)); }

}  // namespace

void end_waits_on(const std::atomic<bool>* stop) { end_asked.store(stop); }

void require_open_input(const std::string& path) {
  if (is_standard_input(path) && is_closed(STDIN_FILENO))
    throw_invalid(fmt::format("cannot read \"{}\": standard input is closed", path));
}

Descriptor open_to_read(const std::string& path) {
  require_open_input(path);
  Descriptor file = is_standard_input(path) ? standard_input() : Descriptor(open_path(path, O_RDONLY | O_NONBLOCK));
  struct stat status = {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) fail_system("read", path);
  if (S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    fail_system("read", path);
  }
  return file;
}

std::size_t read_some(const Descriptor& file, std::span<char> into, const std::string& path) {
  for (;;) {
    while (!comes(file.get(), POLLIN))
      if (is_to_end()) end_wait_to_read(path);
    const ssize_t got = uninterrupted([&] { return ::read(file.get(), into.data(), into.size()); });
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EAGAIN) fail_system("read", path);
  }
}

Descriptor open_to_write(const std::string& path) {
  struct stat status = {};
  const bool pipe = ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
  for (;;) {
    Descriptor file(open_path(path, O_WRONLY | O_APPEND | O_NONBLOCK));
    if (file.get() >= 0) return file;
    if (!pipe || errno != ENXIO) fail_system("write", path);  // of a pipe: nobody reads it
    if (is_to_end()) end_wait_to_write(path);
    ::poll(nullptr, 0, kLookAround_ms);
  }
}

void wait_for_room(int descriptor, const std::string& path) {
  for (int looks = 0; !comes(descriptor, POLLOUT);)
    if (is_to_end() && ++looks == kLooksAfterStop) end_wait_to_write(path);
}

}  // namespace longstride
