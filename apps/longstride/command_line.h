// What may be typed after `longstride`: commands and their options, each with the place its value goes to. Only
// command_line.cpp and wrong_line.cpp know the library that parses, whose headers would make every command slow to
// compile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace longstride::program {

// What help says of an option.
struct OptionWords {
  std::vector<std::string> names;  // "--help", "-h"; of a word by its place its name alone
  std::string value;               // what stands in the value's place; empty: a flag
  std::string purpose, preset;     // preset: the value that it has where none is given; empty: help shows none
  bool by_place = false, required = false, repeated = false;  // repeated: takes several values
};

// What help says of a line.
struct LineWords {
  std::string name, purpose, footer;
  std::vector<OptionWords> options;
};

// One option, for what is said about it beside its name; valid as long as its CommandLine.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option type_name(const char* name);  // what help shows in the value's place
  Option capture_default_str();        // help shows the value that it has now
  Option required();
  Option one_value_each_time();  // of a list: --set A --set B, never --set A B

 private:
  CLI::Option* option_;
};

// The program's own options or those of a command. A handle: copies are of the same line. The places that values go to
// must outlive the parsing.
class CommandLine {
 public:
  explicit CommandLine(CLI::App& app) : app_(&app) {}
  CommandLine add_command(const char* name, const char* purpose);

  // A name with dashes is an option, one without is a word by its place.
  Option add_option(const char* name, std::string& value, const std::string& purpose);
  Option add_option(const char* name, std::int64_t& value, const std::string& purpose);
  Option add_option(const char* name, std::uint64_t& value, const std::string& purpose);
  Option add_option(const char* name, double& value, const std::string& purpose);
  Option add_option(const char* name, std::optional<std::string>& value, const std::string& purpose);
  Option add_option(const char* name, std::optional<std::int64_t>& value, const std::string& purpose);
  Option add_option(const char* name, std::optional<double>& value, const std::string& purpose);
  Option add_option(const char* name, std::vector<std::string>& value, const std::string& purpose);
  void add_flag(const char* name, bool& value, const std::string& purpose);
  void add_example(const std::string& examples);  // the help's last lines: what to type for a start
  void add_footer(const std::string& text);

  std::string name() const;
  LineWords words() const;
  bool was_chosen() const;  // after parsing

 private:
  template <typename T>
  Option add(const char* name, T& value, const std::string& purpose);

  CLI::App* app_;
};

// The whole line: `longstride COMMAND ...`.
class ProgramLine {
 public:
  // version: what --version prints, asked for only then.
  ProgramLine(const char* purpose, const std::function<std::string()>& version);
  ~ProgramLine();
  ProgramLine(const ProgramLine&) = delete;
  ProgramLine& operator=(const ProgramLine&) = delete;
  CommandLine line() { return CommandLine(*app_); }  // valid as long as this
  // The exit status where nothing is left to run: help or the version was asked for and is printed, or the line is
  // wrong and one sentence on standard error says how.
  // Nothing is printed unless `speaks`.
  std::optional<int> parse(int argc, char** argv, bool speaks = true);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace longstride::program
