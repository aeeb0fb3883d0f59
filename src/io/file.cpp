// This reads, writes and appends to files by POSIX calls.
#include "io/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "io/sha256.h"
#include "io/system.h"
#include "io/waits.h"
#include "longstride/error.h"

namespace longstride {

// O_NONBLOCK: a named pipe without a writer must be an error, not a wait.
InputFile::InputFile(const std::string& path) : path_(path), file_(open_path(path, O_RDONLY | O_NONBLOCK)) {
  if (file_.get() < 0) fail_system("open", path);
  struct stat status = {};
  if (::fstat(file_.get(), &status) != 0) fail_system("open", path);
  if (S_ISDIR(status.st_mode)) {
    require_open_input(path);
    throw Error(ErrorKind::invalid_argument, fmt::format("\"{}\" is a directory, not a file", path));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is neither a file nor a directory; copy what it gives into a file first", path));
  }
  size_ = status.st_size;
  inode_ = status.st_ino;
}

void InputFile::read(std::int64_t offset, std::span<std::uint8_t> into) const {
  read_all(file_.get(), offset, into, path_);
}

std::vector<std::uint8_t> InputFile::read(std::int64_t offset, std::int64_t count) const {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  read(offset, bytes);
  return bytes;
}

std::vector<std::uint8_t> InputFile::beginning(std::int64_t most) const { return read(0, std::min(most, size_)); }

std::string InputFile::text() const {
  std::string text(static_cast<std::size_t>(size_), '\0');
  read(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

void InputFile::each_block(std::int64_t begin, std::int64_t end,
                           const std::function<void(std::span<const std::uint8_t> block)>& take) const {
  constexpr std::int64_t kBlock = 1 << 20;
  std::vector<std::uint8_t> block(static_cast<std::size_t>(std::min(kBlock, end - begin)));
  for (std::int64_t at = begin; at < end; at += kBlock) {
    const auto bytes = std::span(block).first(static_cast<std::size_t>(std::min(kBlock, end - at)));
    read(at, bytes);
    take(bytes);
  }
}

std::string sha256_of(const InputFile& file) {
  Sha256 hash;
  file.each_block(0, file.size(), [&](std::span<const std::uint8_t> block) { hash.update(block); });
  return hash.hex();
}

std::string read_text(const std::string& path) {
  constexpr std::size_t kMostText = 1'000'000'000;  // a device may give bytes for ever
  const Descriptor file = open_to_read(path);
  std::string text;
  std::vector<char> block(1 << 16);
  while (const std::size_t got = read_some(file, block, path)) {
    if (text.size() >= kMostText) throw_corrupt(path, "does not end; needs at most 1 GB of text");
    text.append(block.data(), got);
  }
  return text;
}

namespace {

constexpr int kMostLinks = 40;  // as Linux follows

bool is_below_proc(const std::string& path) { return path.starts_with("/proc/"); }

// Where the links of a path's last part lead, whether something is there or not; not beyond /proc.
std::string follow_links(const std::string& path) {
  std::filesystem::path at = path;
  std::error_code error;
  for (int followed = 0; followed < kMostLinks && !is_below_proc(at.string()); ++followed) {
    const std::filesystem::path target = std::filesystem::read_symlink(at, error);
    if (error) return at.string();  // no link
    at = at.parent_path() / target;
  }
  return at.string();
}

// A neighbour of its own: several files of one process may be written at once. Linux takes names of up to 255 bytes.
std::string name_aside(const std::string& place) {
  static std::atomic<int> counter = 0;
  const std::string ending = fmt::format(".{}-{}.partial", ::getpid(), counter++);
  const std::filesystem::path path(place);
  const std::string name = path.filename().string();
  if (name.size() > NAME_MAX) return place + ending;  // refused by the system, as it should be
  return (path.parent_path() / (name.substr(0, NAME_MAX - ending.size()) + ending)).string();
}

// Some systems know no owners, and only root may give a file away: then it stays with who writes it, as its group does.
void take_owner_and_mode(int descriptor, const struct stat& from) {
  mode_t mode = from.st_mode & 07777;
  if (::fchown(descriptor, from.st_uid, from.st_gid) != 0) {
    struct stat now = {};
    const bool same_group = ::fchown(descriptor, static_cast<uid_t>(-1), from.st_gid) == 0 ||
                            (::fstat(descriptor, &now) == 0 && now.st_gid == from.st_gid);
    if (!same_group) mode &= ~mode_t{06070};  // what one group was trusted with is not for another
  }
  static_cast<void>(::fchmod(descriptor, mode));
}

}  // namespace

bool is_written_in_place(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  return !S_ISREG(status.st_mode) || is_below_proc(follow_links(path));
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (is_written_in_place(path)) {
    descriptor_ = open_to_write(path).release();
    return;
  }
  struct stat before = {};
  const bool replaces = ::stat(path.c_str(), &before) == 0;
  if (!replaces && errno == ELOOP) fail_system("write", path);
  if (replaces && S_ISDIR(before.st_mode)) {  // the last call would say so, after all the work
    errno = EISDIR;
    fail_system("write", path);
  }
  if (replaces && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) fail_system("write", path);
  place_ = follow_links(path);
  aside_ = name_aside(place_);
  descriptor_ = open_path(aside_, O_WRONLY | O_CREAT | O_TRUNC, replaces ? before.st_mode & 0600 : 0666);
  if (descriptor_ < 0) fail_system("write", path);
  ::flock(descriptor_, LOCK_EX | LOCK_NB);  // for remove_abandoned; not every system can
  if (replaces && S_ISREG(before.st_mode)) take_owner_and_mode(descriptor_, before);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!aside_.empty()) ::unlink(aside_.c_str());
}

void AtomicFile::append(std::span<const std::uint8_t> bytes) { write_all(descriptor_, bytes, path_); }

void AtomicFile::overwrite(std::int64_t offset, std::span<const std::uint8_t> bytes) {
  if (::lseek(descriptor_, offset, SEEK_SET) < 0) fail_system("write", path_);
  write_all(descriptor_, bytes, path_);
  if (::lseek(descriptor_, 0, SEEK_END) < 0) fail_system("write", path_);
}

void AtomicFile::shorten(std::int64_t size) {
  if (uninterrupted([&] { return ::ftruncate(descriptor_, size); }) != 0 || ::lseek(descriptor_, size, SEEK_SET) < 0)
    fail_system("write", path_);
}

void AtomicFile::commit() {
  const bool in_place = aside_.empty();
  if (sync_descriptor(descriptor_) != 0 && !(in_place && (errno == EINVAL || errno == ENOTSUP)))
    fail_system("write", path_);
  int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno == EINTR) closed = 0;  // it is closed, and was synced before
  if (closed != 0 || (!in_place && ::rename(aside_.c_str(), place_.c_str()) != 0)) {
    const int reason = errno;
    if (!in_place) ::unlink(aside_.c_str());
    errno = reason;
    fail_system("write", path_);
  }
  if (!in_place) sync_directory(parent_directory(place_));
}

void remove_abandoned(const std::string& path) {
  const std::filesystem::path place(path);
  const std::string begin = place.filename().string() + ".";
  const std::string folder = parent_directory(path);
  for (const std::string& name : names_in(folder)) {
    const std::string entry = folder + "/" + name;
    if (!name.starts_with(begin) || !name.ends_with(".partial")) continue;
    const Descriptor file(open_path(entry, O_RDONLY | O_NONBLOCK));
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry.c_str());
  }
}

void write_file_atomically(const std::string& path, std::span<const std::uint8_t> bytes) {
  AtomicFile file(path);
  file.append(bytes);
  file.commit();
}

void write_file_atomically(const std::string& path, std::string_view text) {
  write_file_atomically(path, as_bytes(text));
}

bool take_name(const std::string& path) {
  const Descriptor file(open_path(path, O_WRONLY | O_CREAT | O_EXCL));
  if (file.get() < 0 && errno != EEXIST) fail_system("write", path);
  return file.get() >= 0;
}

void require_writable(const std::string& path) {
  if (!is_written_in_place(path)) {
    const AtomicFile tried(path);  // what is made beside it goes again
  } else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
    fail_system("write", path);  // a pipe is not opened: its reader would take that for an end
  }
}

void require_plain_file(const std::string& path) {
  struct stat status = {};
  if (uninterrupted([&] { return ::lstat(path.c_str(), &status); }) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) fail_system("read", path);
    return;
  }
  if (S_ISREG(status.st_mode)) return;
  const char* what = S_ISLNK(status.st_mode) ? "link" : S_ISDIR(status.st_mode) ? "folder" : "pipe or a device";
  throw Error(
      ErrorKind::invalid_argument,
      fmt::format("\"{}\" is a {} and must be a plain file; put one in its place, or move it away", path, what));
}

LineWriter::LineWriter(const std::string& path, const std::function<bool(std::string_view line)>& keep) : path_(path) {
  require_plain_file(path);
  const bool was_there = is_there(path);
  if (was_there) {
    const std::string text = InputFile(path).text();
    std::string kept;
    kept.reserve(text.size());
    for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view line(text.data() + begin, end - begin);
      if (!keep || keep(line)) kept.append(line).push_back('\n');
    }
    if (kept.size() != text.size()) write_file_atomically(path, kept);
  }
  open();
  if (!was_there) sync_directory(parent_directory(path));  // its lines are no safer than its name
}

void LineWriter::open() {
  struct stat status = {};
  descriptor_ = open_path(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW);
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail_system("write", path_);
  size_ = status.st_size;
}

std::string LineWriter::loss() const {
  struct stat held = {}, there = {};
  if (::fstat(descriptor_, &held) != 0) return "";
  if (uninterrupted([&] { return ::lstat(path_.c_str(), &there); }) != 0)
    return errno == ENOENT || errno == ENOTDIR ? "was removed" : "";
  if (held.st_dev != there.st_dev || held.st_ino != there.st_ino) return "was replaced";
  return held.st_size < size_ ? "was shortened" : "";
}

void LineWriter::reopen() {
  require_plain_file(path_);
  ::close(std::exchange(descriptor_, -1));
  open();
  sync_directory(parent_directory(path_));
}

LineWriter::~LineWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LineWriter::LineWriter(LineWriter&& other) noexcept
    : path_(std::move(other.path_)), size_(other.size_), descriptor_(std::exchange(other.descriptor_, -1)) {}

LineWriter& LineWriter::operator=(LineWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void LineWriter::write(std::string_view line) {
  std::string text(line);
  text.push_back('\n');
  write_all(descriptor_, as_bytes(text), path_);
  size_ += static_cast<std::int64_t>(text.size());
}

void LineWriter::sync() {
  if (sync_descriptor(descriptor_) != 0) fail_system("write", path_);
}

}  // namespace longstride
