// This writes results to standard output.
#include "output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "longstride/error.h"

namespace longstride::program {
namespace {

// errno is that of what failed.
[[noreturn]] void fail_write(const std::string& what) {
  throw Error(ErrorKind::exhausted, fmt::format("cannot write {}: {}", what, std::strerror(errno)));
}

// Removes its file unless told that it has found its place.
struct Aside {
  std::string path;
  int descriptor = -1;
  ~Aside() {
    if (descriptor >= 0) ::close(descriptor);
    if (!path.empty()) ::unlink(path.c_str());
  }
};

}  // namespace

void print(std::string_view bytes) {
  const std::size_t written = bytes.empty() ? 0 : std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  if (written != bytes.size() || std::fflush(stdout) != 0) fail_write("standard output");
}

void print_json(const nlohmann::ordered_json& object) {
  print(object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

std::string read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw Error(ErrorKind::invalid_argument, fmt::format("cannot read \"{}\": it is a directory", path));
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad() || text.fail()) {
    throw Error(ErrorKind::invalid_argument, fmt::format("cannot read \"{}\": {}", path, std::strerror(errno)));
  }
  return text.str();
}

void write_file(const std::string& path, std::string_view bytes) {
  const std::string quoted = fmt::format("\"{}\"", path);
  Aside aside{path + ".XXXXXX", -1};
  aside.descriptor = ::mkstemp(aside.path.data());
  if (aside.descriptor < 0) {
    aside.path.clear();
    fail_write(quoted);
  }
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t written = ::write(aside.descriptor, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_write(quoted);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  const mode_t mask = ::umask(0);  // mkstemp makes files for their owner alone: give what open() would have
  ::umask(mask);
  if (::fchmod(aside.descriptor, 0666 & ~mask) != 0 || ::fsync(aside.descriptor) != 0) fail_write(quoted);
  if (::rename(aside.path.c_str(), path.c_str()) != 0) fail_write(quoted);
  aside.path.clear();
}

}  // namespace longstride::program
