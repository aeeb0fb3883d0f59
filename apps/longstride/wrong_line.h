// A command line that cannot be: one sentence that says what is wrong with it, and what was probably meant.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace longstride::program {

// The command that was chosen; the program itself where none was.
const CLI::App& chosen_line(const CLI::App& program);

// words: all that was typed after the program's name.
// An option that stands where another one's value should, as in `--out --json`; the library that parses takes it for
// one. Nothing: there is none.
std::optional<std::string> swallowed_words(const CLI::App& program, const std::vector<std::string>& words);
// error: what parsing them has thrown.
std::string wrong_line_words(const CLI::App& program, const CLI::ParseError& error,
                             const std::vector<std::string>& words);

}  // namespace longstride::program
