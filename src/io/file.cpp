// This maps, writes and appends to files by POSIX calls.
#include "io/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "io/system.h"
#include "longstride/error.h"

namespace longstride {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: a named pipe without a writer must be an error, not a wait.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_system("open", path);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) fail_system("open", path);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument, fmt::format("\"{}\" is a directory, not a file", path));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is neither a file nor a directory; copy what it gives into a file first", path));
  }
  size_ = status.st_size;
  if (size_ == 0) return;  // mmap refuses a length of 0
  void* data = ::mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_system("map", path);
  data_ = static_cast<const std::uint8_t*>(data);
}

void MappedFile::forget(std::int64_t begin, std::int64_t end) const {
  constexpr std::int64_t kFaultAround = 1 << 16;  // Linux maps this much around a page that is touched
  begin = begin / kFaultAround * kFaultAround;
  end = std::min(size_, (end + kFaultAround - 1) / kFaultAround * kFaultAround);
  if (begin < end)
    ::madvise(const_cast<std::uint8_t*>(data_) + begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), static_cast<std::size_t>(size_));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

std::string read_text(const std::string& path) {
  const MappedFile file(path);
  const std::span<const std::uint8_t> bytes = file.bytes();
  return std::string(bytes.begin(), bytes.end());
}

namespace {

constexpr int kMostLinks = 40;  // as Linux follows

bool is_below_proc(const std::string& path) { return path.starts_with("/proc/"); }

// Where the links of a path lead, whether something is there or not.
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

}  // namespace

bool is_written_in_place(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  return !S_ISREG(status.st_mode) || is_below_proc(follow_links(path));
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (is_written_in_place(path)) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  } else {
    struct stat ignored = {};
    if (::stat(path.c_str(), &ignored) != 0 && errno == ELOOP) fail_system("write", path);
    static std::atomic<int> counter = 0;  // several files of one process at once
    place_ = follow_links(path);
    aside_ = fmt::format("{}.{}-{}.partial", place_, ::getpid(), counter++);
    descriptor_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) fail_system("write", path);
  if (!aside_.empty()) ::flock(descriptor_, LOCK_EX | LOCK_NB);  // for remove_abandoned; not every system can
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
  if (::ftruncate(descriptor_, size) != 0 || ::lseek(descriptor_, size, SEEK_SET) < 0) fail_system("write", path_);
}

void AtomicFile::commit() {
  const bool in_place = aside_.empty();
  if (::fsync(descriptor_) != 0 && !(in_place && (errno == EINVAL || errno == ENOTSUP))) fail_system("write", path_);
  const int closed = ::close(std::exchange(descriptor_, -1));
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
  std::error_code error;
  for (std::filesystem::directory_iterator at(parent_directory(path), error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(".partial")) continue;
    const Descriptor file(::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
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

LineWriter::LineWriter(const std::string& path, const std::function<bool(std::string_view line)>& keep) : path_(path) {
  if (std::error_code ignored; std::filesystem::exists(path, ignored)) {
    const std::string text = read_text(path);
    std::string kept;
    kept.reserve(text.size());
    for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view line(text.data() + begin, end - begin);
      if (!keep || keep(line)) kept.append(line).push_back('\n');
    }
    if (kept.size() != text.size()) write_file_atomically(path, kept);
  }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_system("write", path);
}

LineWriter::~LineWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LineWriter::LineWriter(LineWriter&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

LineWriter& LineWriter::operator=(LineWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void LineWriter::write(std::string_view line) {
  std::string text(line);
  text.push_back('\n');
  write_all(descriptor_, as_bytes(text), path_);
}

void LineWriter::sync() {
  if (::fsync(descriptor_) != 0) fail_system("write", path_);
}

}  // namespace longstride
