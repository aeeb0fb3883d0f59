// longstride COMMAND ...: parses, runs one command, turns errors into one sentence and an exit status (0 done, 2 what
// was asked for is wrong, 1 something went wrong, 130 interrupted, 141 nobody reads the result).
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "command.h"
#include "command_line.h"
#include "longstride/error.h"
#include "longstride/origin.h"
#include "output.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
extern const char* const kCommit;  // cmake/commit.cmake makes the file that says it
}  // namespace longstride::program

namespace {

using longstride::program::Command;
using longstride::program::escaped;

constexpr const char* kNoMemory = "there is not enough memory for this; `longstride plan` says how much it needs";

int report(const Command& command, const std::string& sentence, int status) {
  longstride::program::say("longstride " + command.line.name() + ": " + escaped(sentence) + "\n");
  return status;
}

int status_of(longstride::ErrorKind kind) {
  if (kind == longstride::ErrorKind::stopped) return longstride::program::kInterrupted;
  return kind == longstride::ErrorKind::invalid_argument ? 2 : 1;
}

// Where one of the standard descriptors is closed, the next file that is opened would get its number, and with it what
// is meant for a screen. Their places are taken by what can be neither read nor written.
void occupy_standard_descriptors() {
  int number = 0;
  do number = ::open("/", O_PATH);
  while (number >= 0 && number <= STDERR_FILENO);
  if (number > STDERR_FILENO) ::close(number);
}

// Data in many files are held open; the usual limit is there for programs that wait for descriptors by `select`.
void allow_many_files() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(const Command& command) {
  try {
    return command.run();
  } catch (const longstride::Error& error) {
    if (error.kind() == longstride::ErrorKind::reader_gone) return longstride::program::kReaderGone;
    return report(command, error.what(), status_of(error.kind()));
  } catch (const std::bad_alloc&) {
    return report(command, kNoMemory, 1);
  } catch (const std::length_error&) {  // more than any memory has
    return report(command, kNoMemory, 1);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(command, "cannot use \"" + error.path1().string() + "\": " + error.code().message(), 1);
  } catch (const std::system_error& error) {  // of a thread that is not given
    return report(command, "the system gives no more threads or memory: " + error.code().message(), 1);
  } catch (const std::exception& error) {
    return report(command, std::string("a fault of the program itself, please report it: ") + error.what(), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace longstride::program;
  occupy_standard_descriptors();
  allow_many_files();
  report_refused_writes();
  longstride::set_commit(kCommit);
  const std::string commit = kCommit, version = "longstride " + std::string(longstride::version());
  ProgramLine program(kPurpose, version + (commit.empty() ? "" : " (" + commit + ")"));
  const std::vector<Command> commands = add_commands(program.line());
  if (const std::optional<int> status = program.parse(argc, argv)) return *status;
  for (const Command& command : commands)
    if (command.line.was_chosen()) return run(command);
  return 2;
}
