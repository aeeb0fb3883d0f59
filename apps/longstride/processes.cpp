// This reads what launchers leave in the environment, shares the cores of a machine, and ends all processes when one
// fails.
#include "processes.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <thread>

#include <fmt/format.h>

#include "ending.h"
#include "longstride/device.h"
#include "output.h"
#include "words.h"

namespace longstride::program {

namespace {

// Long enough for another process, which fails of the same, to end this one before it says so too.
constexpr std::chrono::seconds kPoliteness{2};

int number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::atoi(text);
}

int first_number(std::initializer_list<const char*> variables) {
  for (const char* variable : variables)
    if (const int number = number_in(variable); number > 0) return number;
  return 1;
}

}  // namespace

bool is_first_launched() { return number_in("OMPI_COMM_WORLD_RANK") == 0 && number_in("PMI_RANK") == 0; }

Launched join_launched() {
  Launched launched;
  // Open MPI; MPICH and what speaks its protocol.
  if (first_number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) == 1) return launched;
  launched.world = join_world_by_mpi();
  launched.rank = rank_of(*launched.world);
  launched.size = size_of(*launched.world);
  launched.on_this_machine = first_number({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"});
  return launched;
}

std::int64_t share_of_threads(const Launched& launched, std::int64_t threads) {
  if (threads != 0 || launched.on_this_machine == 1) return threads;
  set_threads(0);
  const int usable = machine_info().threads;
  const bool bound = usable < ::sysconf(_SC_NPROCESSORS_ONLN);
  return bound ? usable : std::max(1, usable / launched.on_this_machine);
}

int together(const Launched& launched, const std::function<int()>& run) {
  if (launched.size == 1) return run();
  try {
    return run();
  } catch (...) {
    const Ending ending = ending_of_what_was_thrown();
    if (launched.rank > 0) std::this_thread::sleep_for(kPoliteness);
    if (!ending.sentence.empty())
      say(fmt::format("longstride: process {} of {}: {}\n", launched.rank, launched.size, escaped(ending.sentence)));
    end_all(*launched.world, ending.status);
    return ending.status;
  }
}

}  // namespace longstride::program
