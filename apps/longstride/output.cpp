// This writes results to standard output and reads small files whole.
#include "output.h"

#include <fmt/format.h>

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
[[noreturn]] void fail_write() {
  throw Error(ErrorKind::exhausted, fmt::format("cannot write standard output: {}", std::strerror(errno)));
}

}  // namespace

void print(std::string_view bytes) {
  const std::size_t written = bytes.empty() ? 0 : std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  if (written != bytes.size() || std::fflush(stdout) != 0) fail_write();
}

void print_json(const nlohmann::ordered_json& object) {
  print(object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

nlohmann::ordered_json origin_json(const std::optional<Origin>& origin) {
  nlohmann::ordered_json json;
  if (origin) Origin::fields(*origin, [&](const char* name, const std::string& text) { json[name] = text; });
  return json;
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

}  // namespace longstride::program
