// longstride COMMAND ...: parses, runs one command, turns errors into one sentence and an exit status (0 done, 2 what
// was asked for is wrong, 1 something went wrong, 130 interrupted).
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "command_line.h"
#include "longstride/error.h"
#include "longstride/origin.h"
#include "output.h"
#include "signals.h"

namespace longstride::program {
extern const char* const kCommit;  // cmake/commit.cmake makes the file that says it
}  // namespace longstride::program

namespace {

using longstride::program::Command;

int report(const Command& command, const char* sentence, int status) {
  std::fprintf(stderr, "longstride %s: %s\n", command.line.name().c_str(), sentence);
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

}  // namespace

int main(int argc, char** argv) {
  using namespace longstride::program;
  report_refused_writes();
  longstride::set_commit(kCommit);
  const std::string commit = kCommit, version = "longstride " + std::string(longstride::version());
  ProgramLine program("Sparse Transformers over bytes: train, measure in bits per byte, sample.",
                      version + (commit.empty() ? "" : " (" + commit + ")"));
  const CommandLine line = program.line();
  const std::vector<Command> commands = {train_command(line),     evaluate_command(line), sample_command(line),
                                         pattern_command(line),   plan_command(line),     info_command(line),
                                         attention_command(line), doctor_command(line)};
  if (const std::optional<int> status = program.parse(argc, argv)) return *status;
  for (const Command& command : commands)
    if (command.line.was_chosen()) return run(command);
  return 2;
}
