// longstride COMMAND ...: parses, runs one command, turns errors into one sentence and an exit status (0 done, 2 what
// was asked for is wrong, 1 something went wrong, 130 interrupted, 141 nobody reads the result).
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "command_line.h"
#include "ending.h"
#include "longstride/device.h"
#include "longstride/origin.h"
#include "output.h"
#include "processes.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
extern const char* const kCommit;  // cmake/commit.cmake makes the file that says it
}  // namespace longstride::program

namespace {

using longstride::program::Command;
using longstride::program::message;

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

// Under a limit of address space (ulimit -v) the 64 to 128 MB that glibc reserves for each thread's small blocks are
// taken from the run's own, of which no plan knows: all threads then share one arena. They hardly ever allocate.
void spare_address_space() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) ::mallopt(M_ARENA_MAX, 1);
}

// What one needs to know of a program whose results one wants again, or of one that fails.
std::string version_words() {
#ifdef __clang__
  const char* compiler = "clang " __clang_version__;
#else
  const char* compiler = "g++ " __VERSION__;
#endif
  const longstride::MachineInfo machine = longstride::machine_info();
  const std::string commit = longstride::program::kCommit;
  std::string words =
      fmt::format("longstride {}{}\n", longstride::version(), commit.empty() ? "" : " (" + commit + ")") +
      longstride::program::two_columns({{"compiled by", compiler},
                                        {"libraries", fmt::format("{}", fmt::join(machine.libraries, ", "))},
                                        {"instructions", longstride::program::instructions_words(machine)},
                                        {"processor", longstride::program::processor_words(machine)},
                                        {"card", longstride::card_words()}});
  words.pop_back();  // the line's end, which follows
  return words;
}

int run(const Command& command) {
  try {
    return command.run();
  } catch (...) {
    const longstride::program::Ending ending = longstride::program::ending_of_what_was_thrown();
    if (!ending.sentence.empty()) longstride::program::say(message(command.line.name(), ending.sentence) + "\n");
    return ending.status;
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace longstride::program;
  occupy_standard_descriptors();
  allow_many_files();
  spare_address_space();
  report_refused_writes();
  longstride::set_commit(kCommit);
  ProgramLine program(kPurpose, version_words);
  const std::vector<Command> commands = add_commands(program.line());
  const bool first = is_first_launched(), speaks = speaks_of_its_line();
  if (const std::optional<int> status = program.parse(argc, argv, speaks)) {
    if (*status != 0 && !speaks) let_the_first_speak();
    return *status;
  }
  for (const Command& command : commands)
    if (command.line.was_chosen()) return first || command.by_all ? run(command) : 0;
  return 2;
}
