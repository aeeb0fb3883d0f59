// Results on standard output (files: longstride/file.h). Rule: a result that did not arrive is an error, never a silent
// loss.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/origin.h"

namespace longstride::program {

// Exit status where nobody reads a result any more (`| head`): nothing is wrong, the program ends without a word.
inline constexpr int kReaderGone = 141;  // 128 + SIGPIPE, as the signal would have given

// Writes to standard output, at once. Error reader_gone where nobody reads it, exhausted where it is closed or full.
void print(std::string_view bytes);
void print_words(std::string_view lines);  // as a terminal may show them (escaped_lines)

// Writes to standard error, at once. Where that fails there is nobody to be told. On a line of its own where what was
// printed before has left one open and both are read together.
void say(std::string_view bytes);

// Whether a stream is a terminal that obeys codes for the cursor (one whose TERM is dumb or empty does not), and
// whether it is to get colours too (not where NO_COLOR says anything: no-color.org).
bool obeys_codes(int descriptor);
bool shows_colours(int descriptor);

// One object, indented, with a line end. Text that is no UTF-8 is written with U+FFFD in the place of what is wrong,
// and control characters are escaped, so that a terminal shows it as it is.
void print_json(const nlohmann::ordered_json& object);

// The same text; indent: -1 for one line, without its end.
std::string json_text(const nlohmann::ordered_json& object, int indent);

nlohmann::ordered_json known(double number);  // null where it is below 0

// null where there is none.
nlohmann::ordered_json origin_json(const std::optional<Origin>& origin);

}  // namespace longstride::program
