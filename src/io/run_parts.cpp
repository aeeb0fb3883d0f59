// This tells names of a run's own entries from others.
#include "io/run_parts.h"

#include <algorithm>
#include <iterator>

namespace longstride {

bool is_partial(const std::string& name, const std::string& file) {
  return name.starts_with(file + ".") && name.ends_with(kPartial);
}

bool is_in_run_part(const std::filesystem::path& place, const std::filesystem::path& run) {
  const std::filesystem::path within = place.lexically_relative(run);
  if (within.empty()) return false;
  const std::string name = within.begin()->string();
  return std::any_of(std::begin(kRunParts), std::end(kRunParts),
                     [&](const char* part) { return name == part || is_partial(name, part); });
}

}  // namespace longstride
