// This turns errno into sentences, and repeats reads and writes until all is done.
#include "io/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "io/waits.h"
#include "longstride/error.h"

namespace longstride {

int open_path(const std::string& path, int flags, unsigned mode) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
}

int sync_descriptor(int descriptor) {
  return uninterrupted([&] { return ::fsync(descriptor); });
}

std::unique_ptr<Descriptor> lock_directory(const std::string& path) {
  auto directory = std::make_unique<Descriptor>(open_path(path, O_RDONLY | O_DIRECTORY));
  if (directory->get() < 0) fail_system("open", path);
  const int locked = uninterrupted([&] { return ::flock(directory->get(), LOCK_EX | LOCK_NB); });
  const bool taken = locked != 0 && errno == EWOULDBLOCK;
  return taken ? nullptr : std::move(directory);
}

bool lies_at(const Descriptor& directory, const std::string& path) {
  struct stat open = {}, there = {};
  if (::fstat(directory.get(), &open) != 0) return true;
  if (uninterrupted([&] { return ::stat(path.c_str(), &there); }) != 0) return errno != ENOENT && errno != ENOTDIR;
  return open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

void fail_system(std::string_view action, const std::string& path) {
  const int reason = errno;
  const bool wrong_path = reason == ENOENT || reason == ENOTDIR || reason == EISDIR || reason == ENAMETOOLONG ||
                          reason == ELOOP || reason == EINVAL || reason == EEXIST;
  throw Error(wrong_path        ? ErrorKind::invalid_argument
              : reason == EPIPE ? ErrorKind::reader_gone
                                : ErrorKind::exhausted,
              fmt::format("cannot {} \"{}\": {}", action, path, std::generic_category().message(reason)));
}

bool is_there(const std::string& path, std::string_view action) {
  struct stat status = {};
  if (uninterrupted([&] { return ::stat(path.c_str(), &status); }) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) fail_system(action, path);
  return false;
}

std::vector<std::string> names_in(const std::string& folder) {
  DIR* stream = ::opendir(folder.c_str());
  while (stream == nullptr && errno == EINTR) stream = ::opendir(folder.c_str());
  if (stream == nullptr) fail_system("read", folder);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(stream, ::closedir);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) fail_system("read", folder);
  return names;
}

std::error_code remove_tree(const std::string& path) {
  std::error_code error;
  do std::filesystem::remove_all(path, error);
  while (error == std::errc::interrupted);
  return error;
}

void write_all(int descriptor, std::span<const std::uint8_t> bytes, const std::string& path) {
  constexpr int kMostRefusals = 100;  // in a row, each taking nothing
  for (int refusals = 0; !bytes.empty();) {
    const ssize_t written = uninterrupted([&] { return ::write(descriptor, bytes.data(), bytes.size()); });
    if (written < 0 && errno == EAGAIN) {
      wait_for_room(descriptor, path);
      continue;
    }
    if (written < 0) fail_system("write", path);
    refusals = written == 0 ? refusals + 1 : 0;
    if (refusals == kMostRefusals) {
      throw Error(ErrorKind::exhausted, fmt::format("cannot write \"{}\": the system takes no more bytes", path));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void read_all(int descriptor, std::int64_t offset, std::span<std::uint8_t> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t got = uninterrupted([&] { return ::pread(descriptor, bytes.data(), bytes.size(), offset); });
    if (got < 0) fail_system("read", path);
    if (got == 0) {
      throw Error(ErrorKind::corrupt_data, fmt::format("\"{}\" became shorter while it was read", path));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += got;
  }
}

std::string kernel_text(const std::string& path) { return kernel_text(Descriptor(open_path(path, O_RDONLY))); }

std::string kernel_text(const Descriptor& file) {
  std::string text;
  std::array<char, 4096> piece;
  while (true) {
    const ssize_t got = uninterrupted([&] { return ::read(file.get(), piece.data(), piece.size()); });
    if (got <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
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
