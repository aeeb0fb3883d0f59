// Where text is UTF-8 and where it is other bytes: names of files, samples and messages need not be text.
#pragma once

#include <cstddef>
#include <string_view>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// Length of the valid UTF-8 sequence at the front of a text that is not empty, 0 where there is none (RFC 3629,
// section 4).
std::size_t utf8_length(std::string_view text);

}  // namespace longstride
#pragma GCC visibility pop
