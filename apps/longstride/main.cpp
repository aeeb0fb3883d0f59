// longstride COMMAND ...: parses, runs one command, turns errors into one sentence and an exit status (interface.md, 1).
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "command.h"
#include "longstride/error.h"

namespace {

using longstride::program::Command;

int report(const Command& command, const char* sentence, int status) {
  std::fprintf(stderr, "longstride %s: %s\n", command.app->get_name().c_str(), sentence);
  return status;
}

int run(const Command& command) {
  try {
    return command.run();
  } catch (const longstride::Error& error) {
    return report(command, error.what(), error.kind() == longstride::ErrorKind::invalid_argument ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return report(command, "there is not enough memory for this; `longstride plan` says how much it needs", 1);
  } catch (const std::exception& error) {
    return report(command, error.what(), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program{"Sparse Transformers over bytes: train, measure in bits per byte, sample.", "longstride"};
  program.set_version_flag("--version", LONGSTRIDE_VERSION);
  program.require_subcommand(1);
  using namespace longstride::program;
  const std::vector<Command> commands = {train_command(program),   evaluate_command(program), sample_command(program),
                                         pattern_command(program), plan_command(program),     info_command(program)};
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = program.exit(error, std::cout, std::cerr);
    return status == 0 ? 0 : 2;
  }
  for (const Command& command : commands)
    if (command.app->parsed()) return run(command);
  return 2;
}
