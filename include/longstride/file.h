// Files that are there whole or not at all: the one way in which the library and its programs write them, and read
// small ones.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// Writes a file under another name in the same directory, syncs it and renames it: whatever happens, PATH is what it
// was before or all of `bytes`. A link stays one, and what it names is replaced. What is no file but takes bytes, a
// pipe or a device such as /dev/stdout and /dev/null, stays what it is and is written to. Errors, with the path in
// quotes: invalid_argument where the path is wrong, exhausted where the system refuses.
void write_file_atomically(const std::string& path, std::span<const std::uint8_t> bytes);
void write_file_atomically(const std::string& path, std::string_view text);

// Throws as write_file_atomically does where PATH cannot be written, as far as that is known before: to be asked before
// long work. What is there stays as it is, and what was not there is not there.
void require_writable(const std::string& path);

// Makes an empty file of this name, in one step: false where anything has the name, and that stays what it is. So of
// several processes one has the name. Errors: as above.
bool take_name(const std::string& path);

// True for what is no file but takes bytes: a pipe, a device, a descriptor under /proc (where /dev/stdout leads).
bool is_written_in_place(const std::string& path);

// From now on waiting for the other end of a pipe, here and wherever the library opens, reads or writes one, ends with
// Error stopped once the flag is set, and a reader that takes nothing two seconds after. Null, as at first: waits as
// long as it takes. The flag must outlive all waits.
void end_waits_on(const std::atomic<bool>* stop);

// All that a file, a pipe or a device gives until its end. Errors: as above; corrupt_data beyond 1 GB.
std::string read_text(const std::string& path);

// "a picture", "a recording", or nothing: what the first bytes of a file say that it is (12 are enough).
std::string media_words(std::string_view beginning);

}  // namespace longstride
#pragma GCC visibility pop
