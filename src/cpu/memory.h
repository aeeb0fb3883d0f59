// How much memory this process may still take: the system's, less what shells and containers allow of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace longstride::cpu {

// What the system has free, within those limits.
std::int64_t available_memory();

// What is left of `available` bytes of the system under the limits of the process and of its control groups.
std::int64_t within_limits(std::int64_t available);

// The least that any control group leaves of its limit, caches of files counted as free; none where there is no limit.
// groups: the text of /proc/self/cgroup. root: where the hierarchies are mounted, /sys/fs/cgroup.
std::optional<std::int64_t> left_by_groups(const std::string& groups, const std::string& root);

}  // namespace longstride::cpu
