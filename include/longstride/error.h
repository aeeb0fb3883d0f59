// The one exception of the library: a kind that a caller can act on, and one sentence that says where, what was
// needed and what was found instead.
#pragma once

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

enum class ErrorKind {
  invalid_argument,  // what the caller asked for cannot be: an option, a shape, a pattern, a path that does not exist
  corrupt_data,      // a file that is cut, damaged or of another kind
  unavailable,       // this machine or build lacks it: an instruction set, a device, a library
  exhausted,         // memory or disk is full, or the system refused a read or a write
  stopped,           // the caller's flag was raised before there was a result
  reader_gone,       // a pipe or a socket that a result goes into is read no more
  diverged,          // training met losses or gradients that are not finite, too often to go on
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& sentence) : std::runtime_error(sentence), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws for what a caller asked for and cannot have.
[[noreturn]] inline void throw_invalid(const std::string& sentence) {
  throw Error(ErrorKind::invalid_argument, sentence);
}

// Throws for a file that is cut, damaged or of another kind; what: the sentence's rest, after the path in quotes.
[[noreturn]] inline void throw_corrupt(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::corrupt_data, "\"" + path + "\" " + what);
}

}  // namespace longstride
#pragma GCC visibility pop
