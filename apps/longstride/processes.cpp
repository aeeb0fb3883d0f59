// This joins the processes that were started together, and ends all when one fails.
#include "processes.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "ending.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/launch.h"
#include "longstride/origin.h"
#include "output.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {

namespace {

// A progress line may be on a terminal's last line.
void say_at_the_end(const std::string& sentence) {
  say(fmt::format("{}longstride: {}\n", ::isatty(STDERR_FILENO) == 1 ? "\n" : "", escaped(sentence)));
}

Launched join(const std::string& command, const std::atomic<bool>* stop) {
  Launched launched;
  const Launch launch = find_launch(std::getenv);
  if (launch.place.size == 1) return launched;
  Joining joining;
  joining.build = fmt::format("`longstride {}` of {}", command, origin_words(this_origin("")));
  joining.stop = stop;
  joining.ends.say = say_at_the_end;
  joining.ends.leave = [](int status) { ::_exit(status); };  // files are whole at any time
  without_signals([&] { launched.world = join_launched(launch, joining); });
  launched.rank = rank_of(*launched.world);
  launched.size = size_of(*launched.world);
  launched.cores = share_of_cores(*launched.world, std::getenv);
  return launched;
}

}  // namespace

bool is_first_launched() {
  try {
    return find_launch(std::getenv).place.rank == 0;
  } catch (const Error&) {
    return true;  // who joins the others says what is wrong
  }
}

bool speaks_of_its_line() {
  const auto is_set = [](const char* variable) { return std::getenv(variable) != nullptr; };
  constexpr const char* kOfLaunchers[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_PROCID",
                                          "TORCHELASTIC_RUN_ID"};
  return is_first_launched() || std::none_of(std::begin(kOfLaunchers), std::end(kOfLaunchers), is_set);
}

void let_the_first_speak() {
  constexpr std::chrono::seconds kTime{5};
  std::this_thread::sleep_for(kTime);
}

std::int64_t share_of_threads(const Launched& launched, std::int64_t threads) {
  return threads != 0 || launched.size == 1 ? threads : launched.cores;
}

std::string processes_words(const Launched& launched) {
  const int mine = machine_info().threads;
  if (launched.size == 1) return fmt::format("{} thread{}", mine, mine == 1 ? "" : "s");
  std::vector<int> threads;
  for (const std::string& one : gather(*launched.world, std::to_string(mine))) threads.push_back(std::stoi(one));
  const auto [least, most] = std::minmax_element(threads.begin(), threads.end());
  std::set<int> machines;
  for (const Member& member : members_of(*launched.world)) machines.insert(member.machine);
  const std::string each = *least == *most ? std::to_string(*most) : fmt::format("{} to {}", *least, *most);
  return fmt::format("{} processes on {} machine{}, {} thread{} each", launched.size, machines.size(),
                     machines.size() == 1 ? "" : "s", each, *most == 1 ? "" : "s");
}

int run_together(const std::string& command, const std::atomic<bool>* stop,
                 const std::function<int(const Launched&)>& run) {
  const Launched launched = join(command, stop);
  if (launched.size == 1) return run(launched);
  try {
    return run(launched);
  } catch (...) {
    const Ending ending = ending_of_what_was_thrown();
    end_all(*launched.world, ending.sentence, ending.status);  // this process too
    return ending.status;
  }
}

}  // namespace longstride::program
