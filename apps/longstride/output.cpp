// This writes results to standard output, and words to standard error.
#include "output.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "longstride/error.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr int kLookAtSignals_ms = 100;     // signals are taken by another thread, and interrupt no write
constexpr int kLooksAfterStop = 20;        // then a reader who takes nothing is left
constexpr std::size_t kAtOnce = PIPE_BUF;  // bytes that a pipe which is ready takes without a wait

// Until the descriptor takes bytes. False where it does not, after a signal that asks the program to end.
bool comes_to_take(int descriptor) {
  pollfd ready = {descriptor, POLLOUT, 0};
  for (int looks = 0; ::poll(&ready, 1, kLookAtSignals_ms) <= 0;)
    if (is_stop_asked() && ++looks == kLooksAfterStop) return false;
  return true;
}

// All of it, also where the reader takes its time. False: errno says why not, ECANCELED that it was not waited for any
// longer.
bool write_whole(int descriptor, std::string_view bytes) {
  struct stat status = {};
  const bool pipe = ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
  while (!bytes.empty()) {
    if (pipe && !comes_to_take(descriptor)) {
      errno = ECANCELED;
      return false;
    }
    const ssize_t written = ::write(descriptor, bytes.data(), pipe ? std::min(bytes.size(), kAtOnce) : bytes.size());
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
    if (written == 0) errno = EIO;  // a system that takes nothing
    pollfd ready = {descriptor, POLLOUT, 0};
    const bool again = written > 0 || (written < 0 && errno == EINTR) ||
                       (written < 0 && errno == EAGAIN && (::poll(&ready, 1, -1) > 0 || errno == EINTR));
    if (!again) return false;
  }
  return true;
}

// Whether the last byte on standard output left a line open.
std::atomic<bool> line_is_open = false;  // signals are told of by a thread of their own

// Whether words on standard error would stand right behind what is on standard output, for a reader: both go to one
// place, or to a terminal and a pipe, behind which the same terminal mostly is.
bool are_read_together() {
  struct stat out = {}, error = {};
  if (::fstat(STDOUT_FILENO, &out) != 0 || ::fstat(STDERR_FILENO, &error) != 0) return false;
  const bool same = out.st_dev == error.st_dev && out.st_ino == error.st_ino;
  return same || (S_ISFIFO(out.st_mode) && ::isatty(STDERR_FILENO) == 1);
}

}  // namespace

void print(std::string_view bytes) {
  if (!bytes.empty()) line_is_open = bytes.back() != '\n';
  if (write_whole(STDOUT_FILENO, bytes)) return;
  if (errno == ECANCELED)
    throw Error(ErrorKind::stopped, "stopped while it waited for somebody to read standard output");
  throw Error(errno == EPIPE ? ErrorKind::reader_gone : ErrorKind::exhausted,
              fmt::format("cannot write standard output: {}", std::strerror(errno)));
}

void say(std::string_view bytes) {
  if (line_is_open.exchange(false) && are_read_together()) write_whole(STDERR_FILENO, "\n");
  write_whole(STDERR_FILENO, bytes);
}

bool obeys_codes(int descriptor) {
  const char* kind = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && (kind == nullptr || (*kind != '\0' && std::string_view(kind) != "dumb"));
}

bool shows_colours(int descriptor) {
  const char* unwanted = std::getenv("NO_COLOR");
  return obeys_codes(descriptor) && (unwanted == nullptr || *unwanted == '\0');
}

void print_words(std::string_view lines) { print(escaped_lines(lines)); }

// JSON may hold DEL and U+0080 to U+009F as they are, which terminals obey too. All of them lie in strings.
std::string json_text(const nlohmann::ordered_json& object, int indent) {
  const std::string json = object.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string text;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const auto byte = static_cast<unsigned char>(json[at]);
    const bool pair = byte == 0xc2 && static_cast<unsigned char>(json[at + 1]) < 0xa0;
    if (pair) ++at;
    text += pair || byte == 0x7f ? fmt::format("\\u00{:02x}", json[at] & 0xff) : std::string(1, json[at]);
  }
  return text;
}

void print_json(const nlohmann::ordered_json& object) { print(json_text(object, 2) + "\n"); }

nlohmann::ordered_json known(double number) {
  return number < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(number);
}

nlohmann::ordered_json origin_json(const std::optional<Origin>& origin) {
  nlohmann::ordered_json json;
  if (origin) Origin::fields(*origin, [&](const char* name, const std::string& text) { json[name] = text; });
  return json;
}

}  // namespace longstride::program
