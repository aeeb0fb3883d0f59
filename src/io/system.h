// What the rooms' file code shares of POSIX: owned descriptors, complete writes, errors in words.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace longstride {

// What a system call returns that is made again as long as a signal interrupts it, as on network file systems.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// ::open with O_CLOEXEC; negative where the system refuses.
int open_path(const std::string& path, int flags, unsigned mode = 0666);

int sync_descriptor(int descriptor);  // ::fsync

class Descriptor {  // closes what it owns; negative: nothing
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }  // to be closed by the caller from now on

 private:
  int number_;
};

// Holds a directory until the descriptor is closed or the process ends, however it ends; no file is left. Null where
// another holds it. Where the file system knows no locks, nothing is held and the descriptor keeps nobody out.
std::unique_ptr<Descriptor> lock_directory(const std::string& path);

// Whether the directory that is open still lies at `path`: it may have been removed or renamed, and another made there.
// True where the system does not say.
bool lies_at(const Descriptor& directory, const std::string& path);

// Throws for errno: invalid_argument where the path itself is wrong, reader_gone for a pipe that nobody reads, else
// exhausted.
// action: what was tried, "open", "write", ...: `cannot open "data.txt": No such file or directory`.
[[noreturn]] void fail_system(std::string_view action, const std::string& path);

// Whether something is there, links followed; a loop of them leads nowhere. Error as fail_system where the system does
// not say; action: what is about to be done.
bool is_there(const std::string& path, std::string_view action = "read");

// Names of what a folder holds, in no order. Errors: as fail_system.
std::vector<std::string> names_in(const std::string& folder);

// Removes a file or a folder and all that is in it, as far as the system lets, if it is there; returns what it said.
std::error_code remove_tree(const std::string& path);

// Writes all of it; a call that writes less or is interrupted goes on, and so does one that a pipe has no room for.
// Error exhausted where the system takes nothing.
void write_all(int descriptor, std::span<const std::uint8_t> bytes, const std::string& path);

// Fills all of it from `offset` on; Error corrupt_data where the file ends before.
void read_all(int descriptor, std::int64_t offset, std::span<std::uint8_t> bytes, const std::string& path);

// A text that the kernel makes while it is read, in /proc or /sys, as far as it gives it: nothing where there is none,
// or where the process or thread that it tells of ends meanwhile (streams throw there).
std::string kernel_text(const std::string& path);
std::string kernel_text(const Descriptor& file);

std::string parent_directory(const std::string& path);  // "." for a bare name

// A path as it is kept: from the root, so that it means the same from whatever folder the program is started next,
// without "." and repeated slashes. ".." stays: what it means depends on links. Empty stays empty.
std::string absolute_path(const std::string& path);

inline std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace longstride
