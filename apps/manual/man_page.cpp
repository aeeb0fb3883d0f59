// longstride(1) in the language of groff's man macros: one page for all commands, so that one search finds an option.
#include <fmt/format.h>

#include <sstream>

#include "longstride/origin.h"
#include "manual.h"

namespace longstride::manual {
namespace {

// Text as groff shows it: no backslash, dash or leading dot of it is a command.
std::string plain(const std::string& text) {
  std::string result;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
    line_begins = c == '\n';
  }
  return result;
}

std::string names_and_value(const program::OptionWords& option) {
  std::string text;
  for (const std::string& name : option.names) {
    if (!text.empty()) text += ", ";
    text += (option.by_place ? "\\fI" : "\\fB") + plain(name) + "\\fR";
  }
  if (!option.by_place && !option.value.empty()) text += " \\fI" + plain(option.value) + "\\fR";
  return option.repeated ? text + " ..." : text;
}

std::string option_entry(const program::OptionWords& option) {
  std::string text = ".TP\n" + names_and_value(option) + "\n" + plain(option.purpose);
  if (option.required && !option.by_place) text += "; needed";
  if (!option.preset.empty()) text += "\n(default: " + plain(option.preset) + ")";
  return text + "\n";
}

// "longstride sample [OPTION]... RUN"
std::string synopsis(const program::LineWords& command) {
  std::string text = fmt::format("\\fBlongstride {}\\fR [\\fIOPTION\\fR]...", command.name);
  for (const program::OptionWords& option : command.options)
    if (option.by_place) text += " \\fI" + plain(option.names[0]) + "\\fR";
  return text;
}

// The help's last lines, those that are indented as they are.
std::string footer(const std::string& text) {
  std::string result;
  bool shown_as_is = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool indented = line.starts_with("  ");
    if (indented != shown_as_is)
      result += indented ? ".PP\n.EX\n" : ".EE\n.PP\n";
    else if (result.empty())
      result += ".PP\n";
    shown_as_is = indented;
    result += plain(line.empty() ? ".PP" : line) + "\n";
  }
  return shown_as_is ? result + ".EE\n" : result;
}

constexpr const char* kEnd = R"(.SH "EXIT STATUS"
.TP
.B 0
It is done.
.TP
.B 1
Something went wrong; one sentence on standard error says what.
.TP
.B 2
What was asked for is wrong; one sentence on standard error says what.
.TP
.B 130
It was interrupted; a training run has saved where it stopped.
.TP
.B 141
Nobody read the results.
.SH ENVIRONMENT
.TP
.B LONGSTRIDE_ISA
\fIscalar\fR, \fIavx2\fR, \fIavx512\fR or \fIavx512_bf16\fR: the instruction set to use in the place of the best that
the processor has.
.TP
.B OMP_NUM_THREADS
The threads to compute on where no option says so.
.TP
.B OMP_WAIT_POLICY
How threads wait for one another, \fIactive\fR or \fIpassive\fR, in the place of what suits what else the machine does.
)";

}  // namespace

std::string man_page(const Program& program) {
  std::string text = fmt::format(".TH LONGSTRIDE 1 \"\" \"longstride {}\" \"User Commands\"\n.nh\n", version());
  text += ".SH NAME\nlongstride \\- Sparse Transformers over bytes\n.SH SYNOPSIS\n";
  for (const program::LineWords& command : program.commands) text += synopsis(command) + "\n.br\n";
  text += "\\fBlongstride\\fR \\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n";
  text += ".SH DESCRIPTION\n" + plain(program.line.purpose) + "\n";
  for (const program::OptionWords& option : program.line.options) text += option_entry(option);
  text += ".SH COMMANDS\n";
  for (const program::LineWords& command : program.commands) {
    text += ".SS " + synopsis(command) + "\n" + plain(command.purpose) + ".\n";
    for (const program::OptionWords& option : command.options) text += option_entry(option);
    text += footer(command.footer);
  }
  return text + kEnd;
}

}  // namespace longstride::manual
