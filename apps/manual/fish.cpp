// Completion for fish: a line an option.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "manual.h"

namespace longstride::manual {
namespace {

std::string quoted(const std::string& text) {
  return "'" + with_before(text.substr(0, text.find('\n')), "\\'", "\\") + "'";
}

std::string value_words(const std::string& value) {
  const Candidates found = candidates(value);
  if (!found.words.empty()) return " -x -a " + quoted(fmt::format("{}", fmt::join(found.words, " ")));
  if (found.folders) return " -x -a '(__fish_complete_directories)'";
  return found.files ? " -r -F" : " -x";
}

std::string options(const program::LineWords& line, const std::string& condition) {
  std::string text;
  for (const program::OptionWords& option : line.options) {
    if (option.by_place) continue;
    text += "complete -c longstride -n " + condition;
    for (const std::string& name : option.names)
      text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    text += (option.value.empty() ? "" : value_words(option.value)) + " -d " + quoted(option.purpose) + "\n";
  }
  return text;
}

}  // namespace

std::string fish_completion(const Program& program) {
  std::string text =
      "# Completion of longstride for fish, made from the program's own options.\ncomplete -c longstride -f\n";
  text += options(program.line, "__fish_use_subcommand");
  for (const program::LineWords& command : program.commands) {
    const std::string chosen = quoted("__fish_seen_subcommand_from " + command.name);
    text +=
        "complete -c longstride -n __fish_use_subcommand -a " + command.name + " -d " + quoted(command.purpose) + "\n";
    if (place_candidates(command).files) text += "complete -c longstride -n " + chosen + " -F\n";
    text += options(command, chosen);
  }
  return text;
}

}  // namespace longstride::manual
