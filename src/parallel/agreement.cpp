// This brings processes to the same state by small exchanges: whose turn it is, and whether they have the same things.
#include "parallel/agreement.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

namespace {

constexpr int kTurns = 3;
constexpr std::size_t kLongestName = 256;  // of a machine (POSIX: 255 and an end)

int turn_of(const std::vector<std::string>& machines, int rank) {
  if (rank == 0) return 0;
  const auto mine = machines.begin() + rank;
  const bool first_here = std::find(machines.begin(), mine, *mine) == mine;
  return first_here ? 1 : 2;
}

void wait_for_all(World& world) {
  const char here = 0;
  std::vector<char> all(static_cast<std::size_t>(world.size()));
  world.all_gather(&here, 1, all.data());
}

}  // namespace

std::string shared_text(World& world, std::string text) {
  auto bytes = static_cast<std::int64_t>(text.size());
  world.broadcast(&bytes, sizeof bytes);
  text.resize(static_cast<std::size_t>(bytes));
  world.broadcast(text.data(), bytes);
  return text;
}

std::string machine_name() {
  char name[kLongestName] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

void in_turns(World& world, const std::function<void()>& work, const std::string& machine) {
  if (world.size() == 1) return work();
  const int mine = turn_of(gather(world, machine), world.rank());
  for (int turn = 0; turn < kTurns; ++turn) {
    if (turn == mine) work();
    wait_for_all(world);
  }
}

void require_same(World& world, const std::string& what, const std::string& mine) {
  if (world.size() == 1) return;
  const std::vector<std::string> all = gather(world, mine);
  const auto other = std::find_if(all.begin(), all.end(), [&](const std::string& one) { return one != all.front(); });
  if (other == all.end()) return;
  throw Error(ErrorKind::corrupt_data,
              fmt::format("{} of process {} of {} differs from that of process 0; all need the same files", what,
                          other - all.begin(), all.size()));
}

void require_same_options(World& world, const std::string& command, const Asked& mine) {
  if (world.size() == 1) return;
  std::string text;
  for (const auto& [name, value] : mine) text += fmt::format("{} is {}\n", name, value);
  const std::vector<std::string> all = gather(world, text);
  for (std::size_t p = 1; p < all.size(); ++p) {
    std::istringstream first(all[0]), other(all[p]);
    for (std::string then, now; std::getline(first, then) && std::getline(other, now);) {
      if (now == then) continue;
      throw_invalid(fmt::format("{}: process {} was started otherwise than process 0: {} and not {}", command, p, now,
                                then.substr(then.find(" is ") + 4)));
    }
  }
}

}  // namespace longstride
