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

// Writes to standard output and flushes. Error exhausted where it is closed or full.
void print(std::string_view bytes);

// One object, indented, with a line end. Text that is no UTF-8 is written with U+FFFD in the place of what is wrong.
void print_json(const nlohmann::ordered_json& object);

// null where there is none.
nlohmann::ordered_json origin_json(const std::optional<Origin>& origin);

// Errors: invalid_argument where the path cannot be read.
std::string read_file(const std::string& path);

}  // namespace longstride::program
