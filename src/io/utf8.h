// What is UTF-8 and what is not: file names and samples are bytes, JSON and protocol buffers want text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "longstride/utf8.h"

namespace longstride {

std::string valid_utf8(std::string_view text);  // with U+FFFD for each byte that is in no valid sequence

// A path in a JSON text. Names need not be UTF-8: a byte that is not stands there as U+0000, which no path contains,
// and its two hexadecimal digits. "caf\xe9.txt" becomes "caf\u0000e9.txt".
std::string json_of_path(std::string_view path);                   // U+0000 as the byte 0
std::optional<std::string> path_of_json(std::string_view string);  // none: U+0000 without what belongs to it

// A JSON text whose strings may hold such bytes as they are, as JSON: in the place of each the six letters \u0000 and
// its digits. A text that is UTF-8 stays what it is.
std::string as_json_text(std::string_view text);

}  // namespace longstride
