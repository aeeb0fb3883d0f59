// longstride COMMAND ...: parses, runs one command, turns errors into one sentence and an exit status (interface.md,
// 1).
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"
#include "longstride/error.h"
#include "output.h"
#include "signals.h"

namespace {

using longstride::program::Command;

int report(const Command& command, const char* sentence, int status) {
  std::fprintf(stderr, "longstride %s: %s\n", command.app->get_name().c_str(), sentence);
  return status;
}

int run(const Command& command) {
  try {
    const int status = command.run();
    longstride::program::print("");  // what is left in the stream's buffer, or the error that keeps it there
    return status;
  } catch (const longstride::Error& error) {
    return report(command, error.what(), error.kind() == longstride::ErrorKind::invalid_argument ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return report(command, "there is not enough memory for this; `longstride plan` says how much it needs", 1);
  } catch (const std::exception& error) {
    return report(command, error.what(), 1);
  }
}

// --help and --version are results; everything else that parsing throws is one sentence about the command line.
int report_parsing(const CLI::App& program, const CLI::ParseError& error, const std::string& first_word) {
  const std::vector<CLI::App*> chosen = program.get_subcommands();
  const std::string command = chosen.empty() ? "longstride" : "longstride " + chosen.front()->get_name();
  if (error.get_exit_code() != 0) {
    const bool unknown = chosen.empty() && !first_word.empty() && first_word.front() != '-';
    const std::string wrong = unknown ? "there is no command \"" + first_word + "\"" : error.what();
    std::fprintf(stderr, "%s: %s; `%s --help` lists what there is\n", command.c_str(), wrong.c_str(), command.c_str());
    return 2;
  }
  std::ostringstream text;
  program.exit(error, text, text);
  try {
    longstride::program::print(text.str());
  } catch (const longstride::Error& unwritten) {
    std::fprintf(stderr, "%s: %s\n", command.c_str(), unwritten.what());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  longstride::program::report_closed_pipes();
  CLI::App program{"Sparse Transformers over bytes: train, measure in bits per byte, sample.", "longstride"};
  program.set_version_flag("--version", LONGSTRIDE_VERSION);
  program.require_subcommand(1);
  using namespace longstride::program;
  const std::vector<Command> commands = {train_command(program),    evaluate_command(program), sample_command(program),
                                         pattern_command(program),  plan_command(program),     info_command(program),
                                         attention_command(program)};
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_parsing(program, error, argc > 1 ? argv[1] : "");
  }
  for (const Command& command : commands)
    if (command.app->parsed()) return run(command);
  return 2;
}
