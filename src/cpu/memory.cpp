// This asks the kernel for limits of memory: RLIMIT_AS, and those of control groups of version 1 and 2.
#include "cpu/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>

#include "cpu/groups.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

// A hierarchy's names of what a group may take, has taken, and begins the lines of its file caches with.
struct Names {
  const char *limit, *used, *cached;
};
constexpr Names kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
constexpr Names kVersion2 = {"memory.max", "memory.current", ""};

// None where there is no such file, or a word: "max".
std::optional<std::int64_t> number_in(const std::string& file) {
  std::ifstream text(file);
  std::int64_t number = 0;
  return text >> number ? std::optional(number) : std::nullopt;
}

std::int64_t file_caches(const std::string& group, const std::string& begin) {
  std::ifstream lines(group + "/memory.stat");
  std::int64_t sum = 0, bytes = 0;
  for (std::string key; lines >> key >> bytes;)
    if (key == begin + "inactive_file" || key == begin + "active_file") sum += bytes;
  return sum;
}

std::optional<std::int64_t> left_by(const std::string& group, const Names& names) {
  const std::optional<std::int64_t> limit = number_in(group + "/" + names.limit);
  const std::optional<std::int64_t> used = number_in(group + "/" + names.used);
  if (!limit || !used) return std::nullopt;
  return std::max<std::int64_t>(0, *limit - *used + std::min(*used, file_caches(group, names.cached)));
}

std::int64_t mapped_bytes() { return number_in("/proc/self/statm").value_or(0) * ::sysconf(_SC_PAGESIZE); }

// Of RLIMIT_AS a thread takes its stack and glibc's arena, 72 MB together, when it first runs and asks for memory.
// Where there is room they do so now, so that what is counted next is what a run will have.
void begin_threads(std::int64_t left) {
  constexpr std::int64_t kOfThread = 80'000'000;
  static std::atomic<int> begun = 1;
  const int threads = team();
  if (threads <= begun.load() || left < threads * kOfThread) return;
#pragma omp parallel num_threads(team())
  {
    void* volatile memory = std::malloc(1);
    std::free(memory);
  }
  begun = threads;
}

std::optional<std::int64_t> left_by_process() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const auto most = static_cast<std::int64_t>(limit.rlim_cur);
  begin_threads(most - mapped_bytes());
  // Kept for the stacks of threads that watch and read, 8 MB each, and for room between blocks that none fits into.
  constexpr std::int64_t kKept = 64 << 20;
  const std::int64_t left = std::max<std::int64_t>(0, most - mapped_bytes());
  return left - std::min(kKept, left / 8);
}

}  // namespace

std::optional<std::int64_t> left_by_groups(const std::string& groups, const std::string& root) {
  std::optional<std::int64_t> least;
  each_group(groups, root, "memory", [&](const std::string& folder, int version) {
    const std::optional<std::int64_t> left = left_by(folder, version == 2 ? kVersion2 : kVersion1);
    if (left) least = std::min(least.value_or(*left), *left);
  });
  return least;
}

std::int64_t within_limits(std::int64_t available) {
  for (const std::optional<std::int64_t>& left : {left_by_process(), left_by_groups(groups_of_process(), kGroupsRoot)})
    if (left) available = std::min(available, *left);
  return available;
}

}  // namespace longstride::cpu
