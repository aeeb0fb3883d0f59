// This puts what CLI11 throws into the program's own words. An option that is not there is looked for among the keys of
// the configuration, the command's own options and those of the other commands.
#include "wrong_line.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "longstride/config.h"
#include "words.h"

namespace longstride::program {
namespace {

using Words = std::vector<std::string>;

std::vector<const CLI::App*> commands_of(const CLI::App& program) {
  return program.get_subcommands([](const CLI::App*) { return true; });
}

Words command_names(const CLI::App& program) {
  Words names;
  for (const CLI::App* command : commands_of(program)) names.push_back(command->get_name());
  return names;
}

// Every name of an option without its dashes.
Words option_names(const CLI::App& line) {
  Words names;
  for (const CLI::Option* option : line.get_options())
    names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  return names;
}

bool has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool has_option(const CLI::App& line, const std::string& name) { return has(option_names(line), name); }

// "train", "train and plan", "train, plan and info".
std::string list_words(const Words& words) {
  std::string text;
  for (std::size_t at = 0; at < words.size(); ++at)
    text += (at == 0 ? "" : at + 1 == words.size() ? " and " : ", ") + words[at];
  return text;
}

bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && word != "--" && std::isdigit(static_cast<unsigned char>(word[1])) == 0 &&
         word[1] != '.';
}

// "--heads" of "--heads=3", "-n" of "-n 3".
std::string option_of(const std::string& word) { return word.substr(0, word.find('=')); }

// "heads" of "--heads" and of "-heads".
std::string bare_name(const std::string& option) {
  return option.substr(std::min(option.size() - 1, option.find_first_not_of('-')));
}

std::string with_each(std::string word, char from, char to) {
  std::replace(word.begin(), word.end(), from, to);
  return word;
}

// Those that --set of this command is about: where it takes no whole configuration, of data alone.
Words keys_of(const CLI::App& line) {
  Words keys;
  if (!has_option(line, "set")) return keys;
  const nlohmann::json sections = nlohmann::json::parse(write_config(Config()));
  for (const auto& [section, names] : sections.items())
    for (const auto& [name, value] : names.items())
      if (section == "data" || has_option(line, "config")) keys.push_back(section + "." + name);
  return keys;
}

std::string after_dot(const std::string& key) { return key.substr(key.rfind('.') + 1); }

// The key with this name, whole or after its dot.
std::optional<std::string> key_called(const Words& keys, const std::string& name) {
  const std::string looked = with_each(name, '-', '_');
  for (const std::string& key : keys)
    if (looked == key || looked == after_dot(key)) return key;
  return std::nullopt;
}

std::optional<std::string> likely_key(const Words& keys, const std::string& name) {
  Words ends;
  for (const std::string& key : keys) ends.push_back(after_dot(key));
  const std::optional<std::string> end = likely_word(with_each(name, '-', '_'), ends);
  return end ? key_called(keys, *end) : std::nullopt;
}

// What followed an option: "3" of "--heads=3" and of "--heads 3", else the word that stands for a value.
std::string value_of(const Words& words, const std::string& option) {
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (words[at].starts_with(option + "=")) return words[at].substr(option.size() + 1);
    if (words[at] == option && at + 1 < words.size() && !is_option(words[at + 1])) return words[at + 1];
  }
  return "VALUE";
}

std::string set_words(const std::string& key, const std::string& value) {
  return "--set " + shell_word(key + "=" + value);
}

// Other commands that have it; empty where none has.
std::string elsewhere_words(const CLI::App& program, const CLI::App& line, const std::string& name) {
  constexpr std::size_t kMostNamed = 4;
  Words others;
  for (const CLI::App* command : commands_of(program))
    if (command != &line && has_option(*command, name)) others.push_back(command->get_name());
  if (others.empty()) return "";
  if (others.size() > kMostNamed) return fmt::format("{} has none, other commands do", line.get_name());
  return fmt::format("the command{} {} {} it", others.size() == 1 ? "" : "s", list_words(others),
                     others.size() == 1 ? "has" : "have");
}

std::string unknown_option_words(const CLI::App& program, const CLI::App& line, const std::string& option,
                                 const Words& words) {
  const std::string there_is_none = fmt::format("there is no option {}", option), name = bare_name(option);
  const Words own = option_names(line), keys = keys_of(line);
  const auto nearest = [&](const std::string& own_name) { return there_is_none + "; the nearest is --" + own_name; };
  if (const std::string dashed = with_each(name, '_', '-'); has(own, dashed)) return nearest(dashed);
  if (const auto key = key_called(keys, name))
    return there_is_none + ", it is a key of the configuration: " + set_words(*key, value_of(words, option));
  if (const auto likely = likely_word(name, own)) return nearest(*likely);
  if (const std::string elsewhere = elsewhere_words(program, line, name); !elsewhere.empty())
    return there_is_none + "; " + elsewhere;
  if (const auto key = likely_key(keys, name)) return there_is_none + "; the nearest is " + set_words(*key, "VALUE");
  return there_is_none;
}

// The name of an option that stands before the command which has it, as in `longstride --json info`.
std::string too_early_words(const CLI::App& line, const std::string& option) {
  return fmt::format("{} stands before the command; what it takes comes after it: `longstride {} {} ...`", option,
                     line.get_name(), option);
}

std::string no_command_words(const CLI::App& program, const Words& given) {
  const Words names = command_names(program);
  const Words words(std::find_if(given.begin(), given.end(), [](const auto& word) { return word != "--"; }),
                    given.end());
  if (words.empty()) return "a command is needed: " + list_words(names);
  if (words.size() < given.size() && has(names, words[0]))
    return fmt::format("-- stands before the command; `longstride {} ...` goes without it", words[0]);
  if (is_option(words[0]))
    if (const auto own = likely_word(bare_name(option_of(words[0])), option_names(program)))
      return fmt::format("there is no option {}; the nearest is --{}", option_of(words[0]), *own);
  if (is_option(words[0]))
    return fmt::format("there is no option {} before the command; the commands are {}", option_of(words[0]),
                       list_words(names));
  const std::optional<std::string> likely = likely_word(words[0], names);
  return fmt::format("there is no command \"{}\"; {}", words[0],
                     likely ? "the nearest is " + *likely : "the commands are " + list_words(names));
}

// Of words that have no dashes and no place.
std::string too_many_words(const CLI::App& line, const std::string& word) {
  Words places;
  for (const CLI::Option* option : line.get_options())
    if (option->get_positional()) places.push_back(option->get_name(true));
  return fmt::format("\"{}\" is a word too many: {} takes {}{}", word, line.get_name(),
                     places.empty() ? "options alone" : list_words(places) + " and options",
                     has_option(line, "data") ? " (data are named by --data)" : "");
}

// A purpose within a sentence.
std::string within_sentence(std::string text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('.')) text.pop_back();
  if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[1])) == 0)  // else it may be JSON
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

// The path of a run among those that --data took, which were meant for a place of their own; empty where none is.
std::string run_among_data(const CLI::App& line) {
  const CLI::Option* data = line.get_option_no_throw("--data");
  if (data == nullptr) return "";
  namespace fs = std::filesystem;
  std::error_code none;
  for (const std::string& path : data->results()) {
    const bool run = fs::is_regular_file(fs::path(path) / "config.json", none) &&
                     fs::is_directory(fs::path(path) / "checkpoints", none);
    const bool checkpoint = path.ends_with(".safetensors") || fs::exists(fs::path(path) / "model.safetensors", none);
    if (run || checkpoint) return path;
  }
  return "";
}

// The first that is required and was not given.
std::string missing_words(const CLI::App& line) {
  for (const CLI::Option* option : line.get_options()) {
    if (!option->get_required() || option->count() > 0) continue;
    const bool by_place = option->get_positional();
    if (const std::string run = run_among_data(line); by_place && !run.empty())
      return fmt::format("{} is missing: --data takes all paths that follow it, \"{}\" too; put that before --data",
                         option->get_name(true), run);
    const std::string name = by_place ? option->get_name(true) : option->get_name() + " " + option->get_type_name();
    return fmt::format("{} is missing: {}", name, within_sentence(option->get_description()));
  }
  return "something is missing";
}

// The option that a sentence of CLI11 begins with.
const CLI::Option* option_named(const CLI::App& line, const std::string& sentence) {
  for (const CLI::Option* option : line.get_options())
    for (const std::string& name : option->get_lnames())
      if (const std::string whole = "--" + name; sentence.starts_with(whole + ":") || sentence.starts_with(whole + " "))
        return option;
  return nullptr;
}

// Too few values of an option, or too many.
std::string mismatch_words(const CLI::App& line, const CLI::ParseError& error) {
  const CLI::Option* option = option_named(line, error.what());
  if (option == nullptr) return "an option has too few values, or too many";
  const std::string name = option->get_name();
  if (option->count() > 1) return fmt::format("{}: takes one value, was given {} times", name, option->count());
  return fmt::format("{}: needs {}, got none", name, option->get_type_name());
}

// "--json=perhaps": a value for what takes none.
std::optional<std::string> valued_flag_words(const CLI::App& line, const Words& words) {
  for (const CLI::Option* option : line.get_options())
    for (const std::string& word : words)
      if (option->get_items_expected_max() == 0 && word.starts_with(option->get_name() + "="))
        return fmt::format("{}: takes no value, got \"{}\"", option->get_name(), word.substr(word.find('=') + 1));
  return std::nullopt;
}

const std::string* first_option(const Words& words) {
  const auto found = std::find_if(words.begin(), words.end(), is_option);
  return found == words.end() ? nullptr : &*found;
}

}  // namespace

const CLI::App& chosen_line(const CLI::App& program) {
  const std::vector<const CLI::App*> commands = commands_of(program);
  const auto chosen = std::find_if(commands.begin(), commands.end(), [](const CLI::App* one) { return one->parsed(); });
  return chosen == commands.end() ? program : **chosen;
}

std::optional<std::string> swallowed_words(const CLI::App& program, const Words& words) {
  const CLI::App& line = chosen_line(program);
  for (std::size_t at = 0; at + 1 < words.size(); ++at) {
    const CLI::Option* option = is_option(words[at]) ? line.get_option_no_throw(words[at]) : nullptr;
    if (option == nullptr || option->get_items_expected_max() == 0) continue;
    const std::string& next = words[at + 1];
    if (!is_option(next) || line.get_option_no_throw(option_of(next)) == nullptr) continue;
    return fmt::format("{}: needs {}, got the option {} ({}={} would take it for that)", words[at],
                       option->get_type_name(), next, words[at], next);
  }
  return std::nullopt;
}

std::string wrong_line_words(const CLI::App& program, const CLI::ParseError& error, const Words& words) {
  const CLI::App& line = chosen_line(program);
  if (&line == &program || words.front() == "--") return no_command_words(program, words);
  if (const auto swallowed = swallowed_words(program, words)) return *swallowed;
  const Words left = line.remaining(), early = program.remaining();
  if (const std::string* word = first_option(left)) return unknown_option_words(program, line, option_of(*word), words);
  if (const std::string* word = first_option(early)) return too_early_words(line, option_of(*word));
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) return error.what();  // read_value's own words
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) return missing_words(line);
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr)
    if (const auto flag = valued_flag_words(line, words)) return *flag;
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) return mismatch_words(line, error);
  if (!left.empty()) return too_many_words(line, left.front());
  if (!early.empty()) return too_many_words(line, early.front());
  return "these words cannot be understood";
}

}  // namespace longstride::program
