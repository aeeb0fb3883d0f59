// Lines that a person types or a program sends, read so that Ctrl-C is heard meanwhile.
#pragma once

#include <atomic>
#include <optional>
#include <string>

namespace longstride::program {

class LineReader {
 public:
  // Of standard input, without its end; what is left at the end of input is a line too. None where input has ended, or
  // `stop` was set meanwhile. Error invalid_argument where it is closed.
  std::optional<std::string> next(const std::atomic<bool>& stop);

 private:
  std::string waiting_;
  bool ended_ = false;
};

}  // namespace longstride::program
