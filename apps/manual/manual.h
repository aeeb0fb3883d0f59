// What the program's own description of its options becomes: a manual page and completions for three shells. Nothing
// of it is written by hand, so that it says what the program takes.
#pragma once

#include <string>
#include <vector>

#include "command_line.h"

namespace longstride::manual {

struct Program {
  program::LineWords line;                   // of the program itself
  std::vector<program::LineWords> commands;  // in the order of help
};

std::string man_page(const Program& program);  // longstride(1), for groff
std::string bash_completion(const Program& program);
std::string zsh_completion(const Program& program);
std::string fish_completion(const Program& program);

// What may stand in a value's place, by the word that help shows there: "auto|cpu|cuda", "best|latest|STEP", "PRESET",
// "FILE", "FOLDER".
struct Candidates {
  std::vector<std::string> words = {};
  bool files = false, folders = false;
};
Candidates candidates(const std::string& value);

// What the words by their place may be, all together.
Candidates place_candidates(const program::LineWords& command);

std::vector<std::string> option_names(const program::LineWords& line);  // "--help", "-h", ...
std::vector<std::string> command_names(const Program& program);

// A text with `before` in front of each of its bytes that is one of `special`.
std::string with_before(const std::string& text, const std::string& special, const std::string& before);
std::string in_quotes(const std::string& text);  // '...', as a shell reads it

}  // namespace longstride::manual
