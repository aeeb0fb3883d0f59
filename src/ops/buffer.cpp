// This lets programs share an arena as large as the largest of them needs.
#include "ops/buffer.h"

namespace longstride {

void bind_in(Buffer& arena, Backend& backend, Executable& program, const std::vector<Executable*>& others) {
  if (program.arena_bytes() > arena.bytes()) {
    arena = Buffer();  // first: two need not be in memory at the same time
    arena = Buffer(backend, program.arena_bytes());
    for (Executable* other : others) other->bind(arena.data());
  }
  program.bind(arena.data());
}

}  // namespace longstride
