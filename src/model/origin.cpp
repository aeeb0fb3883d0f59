// This says which program computes here.
#include "longstride/origin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "longstride/device.h"

namespace longstride {

namespace {

std::string& commit_of_this() {
  static std::string commit;
  return commit;
}

}  // namespace

const char* version() { return LONGSTRIDE_VERSION; }

void set_commit(const std::string& commit) { commit_of_this() = commit; }

Origin this_origin(const std::string& device) {
  const MachineInfo machine = machine_info();
  return {version(), commit_of_this(), device, machine.instruction_set,
          fmt::format("{}", fmt::join(machine.libraries, ", "))};
}

std::string origin_words(const Origin& origin) {
  const std::string commit = origin.commit.empty() ? "" : " (" + origin.commit + ")";
  return fmt::format("longstride {}{}, {}, {}", origin.version, commit, origin.instruction_set, origin.libraries);
}

}  // namespace longstride
