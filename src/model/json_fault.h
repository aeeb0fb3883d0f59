// What keeps a text from being JSON, in words for the person who wrote it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace longstride {

struct JsonFault {
  std::size_t at = 0;  // the byte of the text that the words are of
  std::string words;
};

// The first fault of a text (comments allowed); none where it is JSON, lies deeper than any configuration, or the fault
// is one of how its letters are coded.
std::optional<JsonFault> find_json_fault(std::string_view text);

}  // namespace longstride
