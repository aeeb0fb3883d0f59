// This compares what processes were started with.
#include "train/same_start.h"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "longstride/error.h"
#include "train/config_changes.h"

namespace longstride {

namespace {

constexpr const char* kResumes = "--resume";

std::string differences(const Config& first, const Config& other) {
  std::string list;
  for (const ConfigChange& change : config_changes(first, other))
    list += (list.empty() ? "" : ", ") + change.key + " is " + change.now + " and not " + change.then;
  return list;
}

// With the end that the run is to have.
std::string resuming(const TrainOptions& options) {
  std::string words = kResumes;
  if (options.steps) words += fmt::format(" --steps {}", *options.steps);
  if (options.minutes) words += fmt::format(" --minutes {}", *options.minutes);
  return words;
}

}  // namespace

void require_same_start(World& world, const Config& asked, const TrainOptions& options) {
  if (world.size() == 1) return;
  const std::vector<std::string> all = gather(world, options.resume ? resuming(options) : write_config(asked));
  for (std::size_t p = 1; p < all.size(); ++p) {
    if (all[p] == all[0]) continue;
    const std::string start = "train: process " + std::to_string(p) + " was started otherwise than process 0: ";
    const bool resumes = all[p].starts_with(kResumes), first_resumes = all[0].starts_with(kResumes);
    if (resumes && first_resumes) throw_invalid(start + "with " + all[p] + " and not with " + all[0]);
    if (resumes || first_resumes) throw_invalid(start + (resumes ? "with " : "without ") + kResumes);
    const std::string list =
        differences(read_config({all[0]}, {"process 0"}, {}), read_config({all[p]}, {"process"}, {}));
    if (!list.empty()) throw_invalid(start + list);
  }
}

}  // namespace longstride
