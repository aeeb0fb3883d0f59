// This writes results to standard output.
#include "output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "longstride/error.h"
#include "words.h"

namespace longstride::program {
namespace {

// errno is that of what failed.
[[noreturn]] void fail_write() {
  if (errno == EPIPE) throw ReaderGone();
  throw Error(ErrorKind::exhausted, fmt::format("cannot write standard output: {}", std::strerror(errno)));
}

}  // namespace

void print(std::string_view bytes) {
  const std::size_t written = bytes.empty() ? 0 : std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  if (written != bytes.size() || std::fflush(stdout) != 0) fail_write();
}

void print_words(std::string_view lines) { print(escaped_lines(lines)); }

// JSON may hold DEL and U+0080 to U+009F as they are, which terminals obey too. All of them lie in strings.
void print_json(const nlohmann::ordered_json& object) {
  const std::string json = object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string text;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const auto byte = static_cast<unsigned char>(json[at]);
    const bool pair = byte == 0xc2 && static_cast<unsigned char>(json[at + 1]) < 0xa0;
    if (pair) ++at;
    text += pair || byte == 0x7f ? fmt::format("\\u00{:02x}", json[at] & 0xff) : std::string(1, json[at]);
  }
  print(text + "\n");
}

}  // namespace longstride::program
