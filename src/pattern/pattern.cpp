// The definition: which query reads which key.
#include "longstride/pattern.h"

#include "pattern/parts.h"

namespace longstride {

namespace {

bool attends(const Part& part, std::int64_t i, std::int64_t j) {
  const std::int64_t l = part.length;
  switch (part.primitive) {
    case Primitive::dense:
      return true;
    case Primitive::window:
      return i - j < l;
    case Primitive::column:
      return (i - j) % l == 0;
    case Primitive::row:
      return j / l == i / l;
    case Primitive::previous_row:
      return j / l == i / l - 1;
    case Primitive::prefix:
      return j < l;
    case Primitive::digits:
      return (i - j) % power(l, part.cells - 1) == 0 && i - j < power(l, part.cells);
    case Primitive::summary: {
      const std::int64_t from_end = l - 1 - j % l;  // 0: the last of its row
      return from_end / part.cells == (part.spread ? 0 : part.block);
    }
  }
  return false;
}

}  // namespace

bool attends(const Pattern& pattern, std::int64_t i, std::int64_t j) {
  if (j > i) return false;
  for (const Part& part : pattern.parts)
    if (attends(part, i, j)) return true;
  return false;
}

Pattern for_head(const Pattern& pattern, std::int64_t head) {
  Pattern resolved = pattern;
  for (Part& part : resolved.parts) {
    if (!part.spread) continue;
    part.block = head % (part.length / part.cells);
    part.spread = false;
  }
  return resolved;
}

Pattern AttentionLayout::head(std::int64_t block, std::int64_t head) const {
  const std::vector<Pattern>& heads = blocks[block % blocks.size()];
  return for_head(heads[head % heads.size()], head);
}

}  // namespace longstride
