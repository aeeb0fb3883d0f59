// This turns errno into sentences, and repeats reads and writes until all is done.
#include "io/system.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

std::unique_ptr<Descriptor> lock_directory(const std::string& path) {
  auto directory = std::make_unique<Descriptor>(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory->get() < 0) fail_system("open", path);
  const bool taken = ::flock(directory->get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  return taken ? nullptr : std::move(directory);
}

void fail_system(std::string_view action, const std::string& path) {
  const int reason = errno;
  const bool wrong_path = reason == ENOENT || reason == ENOTDIR || reason == EISDIR || reason == ENAMETOOLONG ||
                          reason == ELOOP || reason == EINVAL || reason == EEXIST;
  throw Error(wrong_path ? ErrorKind::invalid_argument : ErrorKind::exhausted,
              fmt::format("cannot {} \"{}\": {}", action, path, std::generic_category().message(reason)));
}

void write_all(int descriptor, std::span<const std::uint8_t> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_system("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void read_all(int descriptor, std::int64_t offset, std::span<std::uint8_t> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor, bytes.data(), bytes.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_system("read", path);
    if (got == 0) {
      throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" became shorter while it was read", path));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += got;
  }
}

std::string parent_directory(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string absolute_path(const std::string& path) {
  if (path.empty()) return path;
  std::error_code error;
  std::filesystem::path absolute;
  for (const std::filesystem::path& part : std::filesystem::absolute(path, error)) {
    if (part != ".") absolute /= part;
  }
  if (error) {  // the working folder was removed
    errno = error.value();
    fail_system("find", path);
  }
  return absolute.string();
}

}  // namespace longstride
