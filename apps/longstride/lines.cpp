// This reads standard input as it comes and cuts it into lines.
#include "lines.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "longstride/error.h"

namespace longstride::program {
namespace {

constexpr int kLookAround_ms = 100;  // signals are taken by another thread, and interrupt no read

}  // namespace

std::optional<std::string> LineReader::next(const std::atomic<bool>& stop) {
  while (!stop.load()) {
    const std::size_t end = waiting_.find('\n');
    if (end != std::string::npos || (ended_ && !waiting_.empty())) {
      const std::string line = waiting_.substr(0, end);
      waiting_.erase(0, end == std::string::npos ? end : end + 1);
      return line;
    }
    if (ended_) return std::nullopt;
    pollfd ready = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&ready, 1, kLookAround_ms) <= 0) continue;
    char block[4096];
    const ssize_t taken = ::read(STDIN_FILENO, block, sizeof block);
    if (taken > 0) waiting_.append(block, static_cast<std::size_t>(taken));
    if (taken < 0 && errno == EBADF)
      throw_invalid("standard input is closed, and what is said to the model comes from there");
    const bool gone = taken < 0 && errno == EIO;  // the terminal
    if (taken < 0 && !gone && errno != EINTR && errno != EAGAIN)
      throw_invalid("cannot read standard input: " + std::system_category().message(errno));
    ended_ = taken == 0 || gone;
  }
  return std::nullopt;
}

}  // namespace longstride::program
