// What the processes of a world do in turn, and what has to be the same in all of them.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "parallel/world.h"

namespace longstride {

// What was given, or the world of this process alone.
inline World& world_or_one(World* given) { return given != nullptr ? *given : world_of_one(); }

// The first process's text, in all of them.
std::string shared_text(World& world, std::string text);

// The name of the machine that this process runs on.
std::string machine_name();

// Runs `work` in every process, in three turns: in the first process; then in one of every other machine; then in all
// that are left. Files that it makes unless they are there are so made once on a folder that all see, and once a
// machine where each has its own. Returns when all have done it.
void in_turns(World& world, const std::function<void()>& work, const std::string& machine = machine_name());

// Error corrupt_data, the same in all processes, where `mine` is not what the first one has. what: "the checkpoint".
void require_same(World& world, const std::string& what, const std::string& mine);

// What a process was asked for, {"--seed", "3"} say; the same names in all. Error invalid_argument, the same in all
// processes, where one was asked for something else than the first. command: "sample".
using Asked = std::vector<std::pair<std::string, std::string>>;
void require_same_options(World& world, const std::string& command, const Asked& mine);

}  // namespace longstride
