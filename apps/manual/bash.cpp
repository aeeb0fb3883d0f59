// Completion for bash, of builtins alone: it needs nothing of the package bash-completion but to be found by it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "manual.h"

namespace longstride::manual {
namespace {

// What sets `words`, `files` or `folders` for one arm of the case.
std::string assignments(const Candidates& found, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = found.words, parts;
  words.insert(words.end(), more.begin(), more.end());
  if (!words.empty()) parts.push_back("words=" + in_quotes(fmt::format("{}", fmt::join(words, " "))));
  if (found.files) parts.push_back("kind=-f");
  if (found.folders) parts.push_back("kind=-d");
  return parts.empty() ? "return" : fmt::format("{}", fmt::join(parts, " "));
}

std::string arms(const program::LineWords& command) {
  std::string text;
  for (const program::OptionWords& option : command.options) {
    if (option.by_place || option.value.empty()) continue;
    std::vector<std::string> cases;
    for (const std::string& name : option.names) cases.push_back(command.name + "," + name);
    text += fmt::format("    {}) {} ;;\n", fmt::join(cases, "|"), assignments(candidates(option.value)));
  }
  return text +
         fmt::format("    {},*) {} ;;\n", command.name, assignments(place_candidates(command), option_names(command)));
}

constexpr const char* kBegin = R"(# Completion of longstride for bash, made from the program's own options.
_longstride() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= words= kind=
  if [[ $current == = ]]; then  # --option=
    current=
  elif [[ $before == = ]]; then  # --option=value
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD > 1)); then command=${COMP_WORDS[1]}; fi
  COMPREPLY=()
  case $command,$before in
)";

constexpr const char* kEnd = R"(    *) return ;;
  esac
  if [[ -n $words ]]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"); fi
  if [[ -n $kind && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    current=${current#[\"\']}  # names as they are on disk: bash quotes them again
    current=${current//\\/}
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$kind" -- "$current")
  fi
}
complete -F _longstride longstride
)";

}  // namespace

std::string bash_completion(const Program& program) {
  std::string text = kBegin;
  for (const program::LineWords& command : program.commands) text += arms(command);
  std::vector<std::string> first = command_names(program);
  const std::vector<std::string> own = option_names(program.line);
  first.insert(first.end(), own.begin(), own.end());
  return text + "    ,*) " + assignments({}, first) + " ;;\n" + kEnd;
}

}  // namespace longstride::manual
