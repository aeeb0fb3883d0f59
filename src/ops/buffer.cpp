// This lets programs share an arena as large as the largest of them needs.
#include "ops/buffer.h"

namespace longstride {

void bind_in(Buffer& arena, Backend& backend, Executable& program, const std::vector<Executable*>& others) {
  if (program.arena_bytes() > arena.bytes()) {
    Buffer larger(backend, program.arena_bytes());  // where this fails the others stay in theirs
    for (Executable* other : others) other->bind(larger.data());
    std::swap(arena, larger);
  }
  program.bind(arena.data());
}

}  // namespace longstride
