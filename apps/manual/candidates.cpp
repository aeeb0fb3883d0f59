// What can be completed, whichever shell asks.
#include <algorithm>
#include <cctype>
#include <sstream>

#include "longstride/config.h"
#include "manual.h"

namespace longstride::manual {
namespace {

bool is_literal(const std::string& word) {
  return std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c); });
}

}  // namespace

Candidates candidates(const std::string& value) {
  if (value == "PRESET") return {.words = preset_names()};
  if (value == "FOLDER") return {.folders = true};
  if (value == "RUN" || value == "PATH" || value.starts_with("FILE")) return {.files = true};
  Candidates found;
  if (value.find('|') == std::string::npos) return found;
  std::istringstream words(value);
  for (std::string word; std::getline(words, word, '|');)
    if (is_literal(word)) found.words.push_back(word);
  return found;
}

Candidates place_candidates(const program::LineWords& command) {
  Candidates all;
  for (const program::OptionWords& option : command.options) {
    if (!option.by_place && !option.repeated) continue;  // `--data A B`: B stands after a value, as by its place
    all.files |= candidates(option.value).files;
  }
  return all;
}

std::vector<std::string> option_names(const program::LineWords& line) {
  std::vector<std::string> names;
  for (const program::OptionWords& option : line.options)
    if (!option.by_place) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> command_names(const Program& program) {
  std::vector<std::string> names;
  for (const program::LineWords& command : program.commands) names.push_back(command.name);
  return names;
}

std::string with_before(const std::string& text, const std::string& special, const std::string& before) {
  std::string result;
  for (const char c : text) {
    if (special.find(c) != std::string::npos) result += before;
    result += c;
  }
  return result;
}

std::string in_quotes(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace longstride::manual
