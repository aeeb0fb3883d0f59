// longstride-manual FOLDER: writes the manual page and the completions of the program into the folder, under the names
// that they are installed by.
#include <cstdio>
#include <string>

#include "command.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "longstride/origin.h"
#include "manual.h"

int main(int count, char** words) try {
  using namespace longstride;
  if (count != 2) throw_invalid("needs the folder to write to");
  program::ProgramLine line(program::kPurpose, version);
  manual::Program all;
  for (const program::Command& command : program::add_commands(line.line()))
    all.commands.push_back(command.line.words());
  all.line = line.line().words();
  const std::string folder = words[1];
  write_file_atomically(folder + "/longstride.1", manual::man_page(all));
  write_file_atomically(folder + "/longstride", manual::bash_completion(all));
  write_file_atomically(folder + "/_longstride", manual::zsh_completion(all));
  write_file_atomically(folder + "/longstride.fish", manual::fish_completion(all));
} catch (const longstride::Error& error) {
  std::fprintf(stderr, "longstride-manual: %s\n", error.what());
  return error.kind() == longstride::ErrorKind::invalid_argument ? 2 : 1;
}
