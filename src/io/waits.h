// Waiting for the other end of a pipe, or for a terminal: the one place where reading and writing may take for ever.
// Each wait ends with Error stopped once the flag of end_waits_on (longstride/file.h) is set.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/system.h"

namespace longstride {

// Throws where the path stands for standard input, and the program was started with that closed. Error
// invalid_argument.
void require_open_input(const std::string& path);

// To be read by read_some. A pipe without a writer is opened at once, and waited for when it is read. What stands for
// standard input (/dev/stdin) is the descriptor itself, from where it stands. Errors: as fail_system; invalid_argument
// for a directory, and for a standard input that is closed.
Descriptor open_to_read(const std::string& path);

// The next bytes, at least one, or 0 where there are no more. Errors: as fail_system.
std::size_t read_some(const Descriptor& file, std::span<char> into, const std::string& path);

// What is written in place (longstride/file.h), to be written by write_all. Waits until somebody reads a pipe.
Descriptor open_to_write(const std::string& path);

// Until a descriptor that refused bytes for the moment takes some. Once the flag is set it waits for a moment more: a
// reader that is only slow gets all.
void wait_for_room(int descriptor, const std::string& path);

}  // namespace longstride
