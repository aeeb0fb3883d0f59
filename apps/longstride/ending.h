// How a command that throws ends: one sentence and an exit status.
#pragma once

#include <string>

namespace longstride::program {

struct Ending {
  std::string sentence;  // as it was thrown, not escaped; empty: nothing is to be said
  int status = 1;
};

// Of what is being caught: to be called within a catch block.
Ending ending_of_what_was_thrown();

}  // namespace longstride::program
