// This joins the processes that were started together, shares the cores of a machine, and ends all when one fails.
#include "processes.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ending.h"
#include "launcher.h"
#include "longstride/device.h"
#include "longstride/error.h"
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

// What processes share: a machine's cores, and the time of them that a control group allows.
struct Seat {
  std::string machine, group, cores;  // one character a core: whether this process may run on it
  std::string text() const { return machine + '\n' + group + '\n' + cores; }
};

Seat seat_of(const std::string& text) {
  const std::size_t first = text.find('\n'), second = text.find('\n', first + 1);
  return {text.substr(0, first), text.substr(first + 1, second - first - 1), text.substr(second + 1)};
}

Seat own_seat() {
  Seat seat;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> seat.machine;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) seat.group += line + ' ';
  std::error_code none;
  seat.group += std::filesystem::read_symlink("/proc/self/ns/cgroup", none).string();
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) return seat;
  for (int core = 0; core < CPU_SETSIZE; ++core) seat.cores += CPU_ISSET(core, &usable) ? '1' : '0';
  return seat;
}

// OMP_NUM_THREADS is taken for a wish; 1 under torchrun is not, which sets it for all that it starts.
bool threads_are_wished() {
  const char* wish = std::getenv("OMP_NUM_THREADS");
  return wish != nullptr && !(std::string_view(wish) == "1" && std::getenv("TORCHELASTIC_RUN_ID") != nullptr);
}

// Each core is divided among the processes that may run on it, and what a control group allows among those in it.
int share_of_cores(World& world) {
  const Seat mine = own_seat();
  std::vector<Seat> here;
  for (const std::string& text : gather(world, mine.text()))
    if (Seat seat = seat_of(text); seat.machine == mine.machine) here.push_back(std::move(seat));
  const int usable = machine_info().threads;
  if (threads_are_wished()) return usable;
  double share = 0, cores = 0;
  for (std::size_t core = 0; core < mine.cores.size(); ++core) {
    if (mine.cores[core] != '1') continue;
    ++cores;
    share += 1.0 / static_cast<double>(std::count_if(here.begin(), here.end(), [&](const Seat& seat) {
               return core < seat.cores.size() && seat.cores[core] == '1';
             }));
  }
  const auto in_group =
      std::count_if(here.begin(), here.end(), [&](const Seat& seat) { return seat.group == mine.group; });
  const bool limited = usable < cores && std::getenv("OMP_NUM_THREADS") == nullptr;
  if (limited || cores == 0)
    share = std::min(cores == 0 ? usable : share, 1.0 * usable / static_cast<double>(in_group));
  constexpr double kRounding = 1e-6;  // 3 thirds are 1
  return std::max(1, static_cast<int>(share + kRounding));
}

void require_size(const Launched& launched, const Launch& launch) {
  if (launched.size == launch.place.size) return;
  throw Error(
      ErrorKind::unavailable,
      fmt::format("the launcher started {} processes and this build's MPI finds {}: it is another MPI's launcher; "
                  "use its own mpirun, or let the processes speak TCP (srun --mpi=none, torchrun)",
                  launch.place.size, launched.size));
}

Launched join_launched(const std::string& command, const std::atomic<bool>* stop) {
  Launched launched;
  const Launch launch = find_launch();
  if (launch.place.size == 1) return launched;
  Joining joining;
  joining.build = fmt::format("`longstride {}` of {}", command, origin_words(this_origin("")));
  joining.stop = stop;
  joining.patience_s = launch.patience_s;
  joining.silence_s = launch.silence_s;
  joining.ends.say = say_at_the_end;
  joining.ends.leave = [](int status) { ::_exit(status); };  // files are whole at any time
  without_signals(
      [&] { launched.world = launch.by_mpi ? join_world_by_mpi(joining) : join_world_by_tcp(launch.place, joining); });
  launched.rank = rank_of(*launched.world);
  launched.size = size_of(*launched.world);
  require_size(launched, launch);
  launched.cores = share_of_cores(*launched.world);
  return launched;
}

}  // namespace

bool is_first_launched() {
  try {
    return find_launch().place.rank == 0;
  } catch (const Error&) {
    return true;  // who joins the others says what is wrong
  }
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
  const Launched launched = join_launched(command, stop);
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
