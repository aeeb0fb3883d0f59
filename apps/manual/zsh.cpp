// Completion for zsh, by _arguments.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "manual.h"

namespace longstride::manual {
namespace {

std::string message(const std::string& text) { return with_before(text, ":\\", "\\"); }
std::string explanation(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  return "[" + with_before(line, "[]\\", "\\") + "]";
}

std::string action(const Candidates& found) {
  if (!found.words.empty()) return fmt::format("({})", fmt::join(found.words, " "));
  if (found.folders) return "_files -/";
  return found.files ? "_files" : " ";
}

std::string value_spec(const std::string& value) { return ":" + message(value) + ":" + action(candidates(value)); }

std::string arguments(const program::LineWords& line) {
  std::string text;
  for (const program::OptionWords& option : line.options) {
    if (option.by_place) {
      text += " \\\n        " + in_quotes("1" + value_spec(option.names[0]));
      continue;
    }
    for (const std::string& name : option.names) {
      const bool by_sign = !option.value.empty() && name.starts_with("--");  // --option=value too
      const std::string spec = (option.repeated ? "*" : "") + name + (by_sign ? "=" : "") + explanation(option.purpose);
      text += " \\\n        " + in_quotes(spec + (option.value.empty() ? "" : value_spec(option.value)));
    }
  }
  return text;
}

// Further values of `--data A B`.
std::string rest(const program::LineWords& command) {
  for (const program::OptionWords& option : command.options)
    if (!option.by_place && option.repeated && candidates(option.value).files)
      return " \\\n        " + in_quotes("*" + value_spec(option.value));
  return "";
}

}  // namespace

std::string zsh_completion(const Program& program) {
  std::string text =
      "#compdef longstride\n# Completion of longstride for zsh, made from the program's own options.\n"
      "_longstride() {\n  local curcontext=$curcontext state\n  local -a commands\n  commands=(\n";
  for (const program::LineWords& command : program.commands)
    text += "    " + in_quotes(command.name + ":" + message(command.purpose)) + "\n";
  text += "  )\n  _arguments -C" + arguments(program.line) +
          " \\\n        '1:command:->command' '*::argument:->argument'\n"
          "  case $state in\n    command) _describe command commands ;;\n    argument) case $words[1] in\n";
  for (const program::LineWords& command : program.commands)
    text += "      " + command.name + ") _arguments" + arguments(command) + rest(command) + " ;;\n";
  return text + "    esac ;;\n  esac\n}\n_longstride \"$@\"\n";
}

}  // namespace longstride::manual
