// This shares the cores of a machine out among the processes on it.
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "longstride/device.h"
#include "longstride/launch.h"

namespace longstride {

namespace {

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
bool threads_are_wished(const Environment& environment) {
  const char* wish = environment("OMP_NUM_THREADS");
  return wish != nullptr && !(std::string_view(wish) == "1" && environment("TORCHELASTIC_RUN_ID") != nullptr);
}

}  // namespace

int share_of_cores(World& world, const Environment& environment) {
  const Seat mine = own_seat();
  std::vector<Seat> here;
  for (const std::string& text : gather(world, mine.text()))
    if (Seat seat = seat_of(text); seat.machine == mine.machine) here.push_back(std::move(seat));
  const int usable = machine_info().threads;
  if (threads_are_wished(environment)) return usable;
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
  const bool limited = usable < cores && environment("OMP_NUM_THREADS") == nullptr;
  if (limited || cores == 0)
    share = std::min(cores == 0 ? usable : share, 1.0 * usable / static_cast<double>(in_group));
  constexpr double kRounding = 1e-6;  // 3 thirds are 1
  return std::max(1, static_cast<int>(share + kRounding));
}

}  // namespace longstride
