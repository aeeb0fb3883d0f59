// This tells names of a run's own entries from others.
#include "io/run_parts.h"

#include <algorithm>
#include <iterator>

namespace longstride {

bool is_partial(const std::string& name, const std::string& file) {
  return name.starts_with(file + ".") && name.ends_with(kPartial);
}

bool is_run_part(const std::string& name) {
  return std::any_of(std::begin(kRunParts), std::end(kRunParts),
                     [&](const char* part) { return name == part || is_partial(name, part); });
}

}  // namespace longstride
