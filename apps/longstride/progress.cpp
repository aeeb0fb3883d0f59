// This draws the line that renews itself, no more often than a person can read it.
#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "output.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::chrono::milliseconds kRenewal{100};
constexpr std::chrono::seconds kPlainLines{60};

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

// Parts of a line stand two blanks apart, the most important first: the last ones go until the others fit.
std::string fitting(std::string line, std::size_t columns) {
  while (line.size() > columns) {
    const std::size_t last = line.rfind("  ");
    if (last == std::string::npos || last == 0) return line.substr(0, columns);
    line.erase(last);
  }
  return line;
}

}  // namespace

ProgressLine::ProgressLine(bool quiet) : quiet_(quiet), terminal_(obeys_codes(STDERR_FILENO)) {}

void ProgressLine::draw(const std::string& state) {
  const std::string line = escaped(state);
  if (terminal_) {  // to the line's start, clear it; one column stays free so that the line never wraps
    say("\r\x1b[K" + fitting(line, terminal_columns() - 1));
    drawn_ = true;
  } else {
    say(line + "\n");
  }
  shown_ = Clock::now();
  pending_.clear();
}

bool ProgressLine::due() const {
  if (quiet_) return false;
  return terminal_ ? Clock::now() - shown_ >= kRenewal : Clock::now() - shown_ >= kPlainLines;
}

void ProgressLine::show(const std::string& line) {
  if (quiet_) return;
  if (due()) {
    draw(line);
  } else {
    pending_ = line;
  }
}

void ProgressLine::print(const std::string& text) {
  if (quiet_) return;
  const std::string clear = drawn_ ? "\r\x1b[K" : "";
  drawn_ = false;
  say(clear + escaped_lines(text) + (text.ends_with('\n') ? "" : "\n"));
}

void ProgressLine::clear() {
  if (drawn_) say("\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
  pending_.clear();
}

void ProgressLine::finish() {
  if (!pending_.empty()) draw(pending_);
  if (drawn_) say("\n");
  drawn_ = false;
}

void Pace::add() {
  if (done_++ == 0) begun_ = std::chrono::steady_clock::now();
}

std::string Pace::words() const {
  constexpr double kLeastSeconds = 0.5;  // for a rate
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  if (done_ < 2 || seconds < kLeastSeconds) return "";
  const double rate = static_cast<double>(done_ - 1) / seconds, left = total_ - static_cast<double>(done_);
  return fmt::format("{:.0f}%  {} tokens/s  {} left", 100 * static_cast<double>(done_) / total_,
                     rate_words(side_by_side_ * rate), duration_words(left / rate));
}

}  // namespace longstride::program
