// The processes that a launcher started together: who they are, and how a command ends for all of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "longstride/processes.h"

namespace longstride::program {

struct Launched {
  std::shared_ptr<World> world;  // none: this process is alone
  int rank = 0, size = 1;
  int on_this_machine = 1;  // of them
};

// Whether this process answers where only one has to: the first that a launcher started, or one that is alone. Nothing is
// joined for it.
bool is_first_launched();

// Joins where the environment says that a launcher of MPI started several. Error unavailable: the build has no MPI.
Launched join_launched();

// --threads, where it is 0: this process's share of the cores, or those that its launcher bound it to.
std::int64_t share_of_threads(const Launched& launched, std::int64_t threads);

// Runs a command's part that all processes have in. What it throws ends all of them: the first one that does is heard.
int together(const Launched& launched, const std::function<int()>& run);

}  // namespace longstride::program
