// This lets programs share an arena as large as the largest of them needs.
#include "ops/buffer.h"

namespace longstride {

std::shared_ptr<Executable> ProgramArena::add(Program program) {
  std::shared_ptr<Executable> added = backend_.compile(std::move(program));
  std::erase_if(programs_, [](const std::weak_ptr<Executable>& other) { return other.expired(); });
  if (added->arena_bytes() > memory_.bytes()) {
    Buffer larger(backend_, added->arena_bytes());  // where this fails the others stay in theirs
    for (const std::weak_ptr<Executable>& other : programs_) other.lock()->bind(larger.data());
    std::swap(memory_, larger);
  }
  added->bind(memory_.data());
  programs_.push_back(added);
  return added;
}

}  // namespace longstride
