// This walks control groups of version 1 and 2, and reads how much of the cores they allow.
#include "cpu/groups.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "io/system.h"

namespace longstride::cpu {

// A container sees its own group at the root, whatever path it is told.
void each_group(const std::string& groups, const std::string& root, const std::string& controller,
                const std::function<void(const std::string&, int)>& visit) {
  std::istringstream lines(groups);
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/a/b", of version 2 "0::/a/b"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string kinds = line.substr(first, second - first + 1);
    std::replace(kinds.begin(), kinds.end(), ':', ',');
    const int version = kinds == ",," ? 2 : 1;
    if (version == 1 && kinds.find("," + controller + ",") == std::string::npos) continue;
    const std::string top = version == 2 ? root : root + "/" + controller;
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      visit(top + path, version);
      if (path.find('/') == std::string::npos) break;
    }
  }
}

std::string groups_of_process() { return kernel_text("/proc/self/cgroup"); }

std::optional<double> cores_by_groups(const std::string& groups, const std::string& root) {
  std::optional<double> least;
  each_group(groups, root, "cpu", [&](const std::string& folder, int version) {
    double quota = -1, period = -1;
    if (version == 2) {
      std::ifstream(folder + "/cpu.max") >> quota >> period;  // "max 100000" is no number
    } else {
      std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;  // -1: there is no limit
      std::ifstream(folder + "/cpu.cfs_period_us") >> period;
    }
    if (quota > 0 && period > 0) least = std::min(least.value_or(quota / period), quota / period);
  });
  return least;
}

int usable_cores() {
  const int cores = omp_get_num_procs();
  const std::optional<double> allowed = cores_by_groups(groups_of_process(), kGroupsRoot);
  return allowed ? std::max(1, static_cast<int>(std::ceil(std::min<double>(*allowed, cores)))) : cores;
}

}  // namespace longstride::cpu
