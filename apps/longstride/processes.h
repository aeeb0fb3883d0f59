// The processes that a launcher started together: who they are, and how a command ends for all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "longstride/processes.h"

namespace longstride::program {

struct Launched {
  std::shared_ptr<World> world;  // none: this process is alone
  int rank = 0, size = 1;
  int cores = 0;  // this process's share of its machine's, or those that its launcher bound it to
};

// Whether this process answers where only one has to: the first that a launcher started, or one that is alone. Nothing
// is joined for it.
bool is_first_launched();

// Whether this process says what is wrong with its command line: the first one, and one that was started by hand, whose
// terminal no other process may have.
bool speaks_of_its_line();

// Launchers end all processes as soon as one has failed. So one that fails without a word comes after the one that
// speaks: this waits for some seconds, in which a launcher usually ends it.
void let_the_first_speak();

// --threads, where it is 0: this process's share of the cores.
std::int64_t share_of_threads(const Launched& launched, std::int64_t threads);

// 4 processes on 2 machines, 8 threads each. All call it, once they have their threads; alone: 8 threads.
std::string processes_words(const Launched& launched);

// Joins where the environment says that a launcher started several, and runs a command's part that all processes have
// in. Threads that are made to join leave signals to others. What `run` throws ends all of them: the first one that
// does is heard. command: its name, the same in all. stop: as stop_on_signals gives it. Errors: as
// longstride/processes.h has them.
int run_together(const std::string& command, const std::atomic<bool>* stop,
                 const std::function<int(const Launched&)>& run);

}  // namespace longstride::program
