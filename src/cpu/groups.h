// The control groups that this process is in, for what they limit.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace longstride::cpu {

// Calls visit(folder, version) for each group, from the process's own up to the root, of version 1 (the hierarchy of
// that controller) and 2. groups: the text of /proc/self/cgroup. root: where the hierarchies are mounted,
// /sys/fs/cgroup.
void each_group(const std::string& groups, const std::string& root, const std::string& controller,
                const std::function<void(const std::string& folder, int version)>& visit);

std::string groups_of_process();  // /proc/self/cgroup
inline constexpr const char* kGroupsRoot = "/sys/fs/cgroup";

// Cores whose time the groups let the process use: quotas over periods, the least of them; none without a limit.
std::optional<double> cores_by_groups(const std::string& groups, const std::string& root);

// Threads that make sense: cores that the process may run on, or whole ones of the time that its groups leave it.
int usable_cores();

}  // namespace longstride::cpu
