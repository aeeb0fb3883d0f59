// This program once more, as a process of its own.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace longstride::program {

struct Child {
  std::string out;                // its standard output; standard error is ours
  int status = 0;                 // as waitpid says
  std::string end_words() const;  // "ended by signal 4 (Illegal instruction)", "ended with status 1"
};

// Runs it to its end with these arguments, and with these variables set in its environment. Error exhausted where it
// cannot be started.
Child run_child(const std::vector<std::string>& arguments,
                const std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace longstride::program
