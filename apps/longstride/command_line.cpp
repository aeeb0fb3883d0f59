// The command line by CLI11: what the commands say of their options, handed on.
#include "command_line.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <type_traits>

#include "ending.h"
#include "longstride/error.h"
#include "output.h"
#include "words.h"
#include "wrong_line.h"

namespace longstride::program {
namespace {

constexpr int kMostValues = 1 << 20;  // of a list; CLI11 takes from 1 << 25 on for no limit, and with it one at a time

// Usage shows a word that may be repeated as "RUN...", where CLI11 counts: "RUN(1x)".
class PlainUsage : public CLI::Formatter {
 public:
  std::string make_option_usage(const CLI::Option* option) const override {
    const std::string name = make_option_name(option, true) + (option->get_items_expected_max() > 1 ? "..." : "");
    return option->get_required() ? name : "[" + name + "]";
  }
};

// `longstride help` and `longstride help train` are --help in other words.
std::vector<std::string> with_help_as_option(const CLI::App& program, std::vector<std::string> words) {
  if (words.empty() || words[0] != "help") return words;
  words.erase(words.begin());
  const auto is_called = [&](const CLI::App* command) { return command->get_name() == words[0]; };
  if (words.empty() || !program.get_subcommands(is_called).empty()) words.emplace_back("--help");
  return words;  // a command that is not there is refused as ever
}

void say_wrong(const CLI::App& program, const std::string& sentence) {
  const CLI::App& line = chosen_line(program);
  const std::string command = &line == &program ? "" : line.get_name();
  const std::string help = "longstride " + command + (command.empty() ? "" : " ") + "--help";
  say(message(command, sentence + "; `" + help + "` lists what there is") + "\n");
}

// --help and --version are results.
int print_help(const CLI::App& program, const CLI::ParseError& help) {
  std::ostringstream text;
  program.exit(help, text, text);
  try {
    print(text.str());
  } catch (const Error& unwritten) {
    if (unwritten.kind() == ErrorKind::reader_gone) return kReaderGone;
    const CLI::App& line = chosen_line(program);
    say(message(&line == &program ? "" : line.get_name(), unwritten.what()) + "\n");
    return 1;
  }
  return 0;
}

void read_value(const char* name, const std::string& word, std::string& value) {
  if (word.empty()) throw CLI::ValidationError(name, "needs a word, got none");
  value = word;
}

// 1e4 is a whole number too, as it is for a key of the configuration: up to where a double has them all.
template <typename Number>
bool read_whole(const std::string& word, Number& value) {
  double number = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + (word.starts_with('+') ? 1 : 0), end, number);
  const bool whole = error == std::errc() && stop == end && std::abs(number) <= 0x1p53 && number == std::floor(number);
  if (!whole || (std::is_unsigned_v<Number> && number < 0)) return false;
  value = static_cast<Number>(number);
  return true;
}

template <typename Number>
void read_value(const char* name, const std::string& word, Number& value) {
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + (word.starts_with('+') ? 1 : 0), end, value);
  if (error == std::errc() && stop == end) return;
  if constexpr (std::is_integral_v<Number>)
    if (error != std::errc::result_out_of_range && read_whole(word, value)) return;
  const char* needs = std::is_integral_v<Number> ? "a whole number" : "a number";
  const char* range = error == std::errc::result_out_of_range ? " that 64 bits hold" : "";
  throw CLI::ValidationError(name, fmt::format("needs {}{}, got \"{}\"", needs, range, word));
}

template <typename T>
void read_value(const char* name, const std::string& word, std::optional<T>& value) {
  read_value(name, word, value.emplace());
}

template <typename T>
std::string default_words(const T& value) {
  return fmt::format("{}", value);
}

template <typename T>
std::string default_words(const std::optional<T>& value) {
  return value ? default_words(*value) : "";
}

}  // namespace

Option Option::type_name(const char* name) { return Option(option_->type_name(name)); }
Option Option::capture_default_str() { return Option(option_->capture_default_str()); }
Option Option::required() { return Option(option_->required()); }
Option Option::one_value_each_time() { return Option(option_->expected(1)->take_all()->allow_extra_args(false)); }

CommandLine CommandLine::add_command(const char* name, const char* purpose) {
  return CommandLine(*app_->add_subcommand(name, purpose));
}

// One value of an option by its own rules: numbers are decimal, where CLI11 takes 010 for 8 and what is too large for
// the largest there is; and nothing at all, as a shell makes of a variable that is not set, is no value.
template <typename T>
Option CommandLine::add(const char* name, T& value, const std::string& purpose) {
  const auto take = [name, &value](const CLI::results_t& words) {
    read_value(name, words.front(), value);
    return true;
  };
  return Option(app_->add_option(name, take, purpose, false, [&value] { return default_words(value); }));
}

Option CommandLine::add_option(const char* name, std::string& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::int64_t& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::uint64_t& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, double& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::optional<std::string>& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::optional<std::int64_t>& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::optional<double>& value, const std::string& purpose) {
  return add(name, value, purpose);
}
Option CommandLine::add_option(const char* name, std::vector<std::string>& value, const std::string& purpose) {
  const CLI::callback_t take = [&value](const CLI::results_t& words) {
    value = words;
    return true;
  };
  // Taken as it is: CLI11's own conversion makes a list of one word in brackets, and of braces an empty one.
  CLI::Option* option = app_->add_option(name, take, purpose);
  const bool by_place = name[0] != '-';  // CLI11 stops such a list at its first word unless it may have more
  return Option(option->type_size(1)->expected(1, kMostValues)->allow_extra_args(by_place));
}
void CommandLine::add_flag(const char* name, bool& value, const std::string& purpose) {
  app_->add_flag(name, value, purpose);
}
void CommandLine::add_example(const std::string& examples) { add_footer("Example:\n  " + examples + "\n"); }
void CommandLine::add_footer(const std::string& text) { app_->footer(text); }

LineWords CommandLine::words() const {
  LineWords words = {app_->get_name(), app_->get_description(), app_->get_footer(), {}};
  for (const CLI::Option* option : app_->get_options()) {
    OptionWords one;
    one.by_place = option->get_positional();
    one.names = option->get_lnames();
    for (std::string& name : one.names) name = "--" + name;
    for (const std::string& name : option->get_snames()) one.names.push_back("-" + name);
    if (one.by_place) one.names = {option->get_name(true)};
    if (option->get_items_expected_max() > 0) one.value = one.by_place ? one.names[0] : option->get_type_name();
    one.purpose = option->get_description();
    one.preset = option->get_default_str();
    one.required = option->get_required();
    one.repeated =
        option->get_items_expected_max() > 1 || option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    words.options.push_back(one);
  }
  return words;
}

std::string CommandLine::name() const { return app_->get_name(); }
bool CommandLine::was_chosen() const { return app_->parsed(); }

ProgramLine::ProgramLine(const char* purpose, const std::function<std::string()>& version)
    : app_(std::make_unique<CLI::App>(purpose, "longstride")) {
  app_->set_version_flag("--version", version, "Say which program this is, and on what it runs");
  app_->require_subcommand(1);
  app_->formatter(std::make_shared<PlainUsage>());  // commands that are added have it too
}
ProgramLine::~ProgramLine() = default;

std::optional<int> ProgramLine::parse(int argc, char** argv, bool speaks) {
  const std::vector<std::string> words = with_help_as_option(*app_, {argv + std::min(1, argc), argv + argc});
  try {
    app_->parse(std::vector<std::string>(words.rbegin(), words.rend()));  // which takes them from the back
    const std::optional<std::string> swallowed = swallowed_words(*app_, words);
    if (!swallowed) return std::nullopt;
    if (speaks) say_wrong(*app_, *swallowed);
    return 2;
  } catch (const CLI::ParseError& error) {
    const bool is_help = error.get_exit_code() == 0;
    if (is_help) return speaks ? print_help(*app_, error) : 0;
    if (speaks) say_wrong(*app_, wrong_line_words(*app_, error, words));
    return 2;
  } catch (const Error&) {  // of what --version asks
    const Ending ending = ending_of_what_was_thrown();
    if (speaks) say(message("", ending.sentence) + "\n");
    return ending.status;
  }
}

}  // namespace longstride::program
