// This reduces a pattern to its fewest forms at a given length.
#include "pattern/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "longstride/error.h"

namespace longstride {

namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

// Adds (i - j) mod step = 0, i - j < extent.
void add_diagonal(Parts& parts, std::int64_t step, std::int64_t extent) {
  if (step >= parts.n) {
    parts.window = std::max<std::int64_t>(parts.window, 1);  // only the query itself
  } else if (step == 1) {
    parts.window = std::max(parts.window, std::min(extent, parts.n));
  } else {
    parts.diagonals.push_back({step, std::min(extent, parts.n)});
  }
}

void add_summary(Parts& parts, const Part& part) {
  const std::int64_t block = part.spread ? 0 : part.block;
  const std::int64_t first = part.length - (block + 1) * part.cells;
  if (first >= parts.n) return;  // no cell before the end
  if (part.cells == part.length) {
    parts.window = parts.n;
  } else {
    parts.summaries.push_back({part.length, first, part.cells});
  }
}

void add(Parts& parts, const Part& part) {
  const std::int64_t n = parts.n;
  switch (part.primitive) {
    case Primitive::dense:
      parts.window = n;
      return;
    case Primitive::window:
      add_diagonal(parts, 1, part.length);
      return;
    case Primitive::column:
      add_diagonal(parts, part.length, kLargest);
      return;
    case Primitive::digits:
      add_diagonal(parts, power(part.length, part.cells - 1), power(part.length, part.cells));
      return;
    case Primitive::row:
      if (part.length >= n) {
        parts.window = n;
      } else {
        parts.rows.push_back(part.length);
      }
      return;
    case Primitive::previous_row:
      if (part.length < n) parts.previous_rows.push_back(part.length);
      return;
    case Primitive::prefix:
      parts.prefix = std::max(parts.prefix, std::min(part.length, n));
      return;
    case Primitive::summary:
      add_summary(parts, part);
      return;
  }
}

// Drops every item that `holds(other, item)` says another one contains; of equal items the first stays.
template <class Item, class Holds>
void drop_contained(std::vector<Item>& items, Holds holds) {
  std::vector<Item> kept;
  for (std::size_t a = 0; a < items.size(); ++a) {
    bool contained = false;
    for (std::size_t b = 0; b < items.size() && !contained; ++b)
      contained = b != a && holds(items[b], items[a]) && (b < a || !holds(items[a], items[b]));
    if (!contained) kept.push_back(items[a]);
  }
  items = std::move(kept);
}

std::string outside(const char* name, std::int64_t least, std::int64_t most, std::int64_t got) {
  if (most == kLargest) return fmt::format("{} must be at least {}, got {}", name, least, got);
  return fmt::format("{} must be in [{}, {}], got {}", name, least, most, got);
}

}  // namespace

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  if (base == 1) return 1;
  std::int64_t result = 1;
  for (; exponent > 0; --exponent) {
    if (result > kLargest / base) return kLargest;
    result *= base;
  }
  return result;
}

std::int64_t common_multiple(std::int64_t a, std::int64_t b, std::int64_t most) {
  const std::int64_t factor = b / std::gcd(a, b);
  return a > most / factor ? most : std::min(most, a * factor);
}

Parts reduce(const Pattern& pattern, std::int64_t n) {
  Parts parts;
  parts.n = n;
  for (const Part& part : pattern.parts) add(parts, part);
  if (parts.prefix >= n && n > 0) parts.window = n;
  if (parts.dense()) {
    Parts dense;
    dense.n = dense.window = n;
    return dense;
  }
  drop_contained(parts.rows, [](std::int64_t a, std::int64_t b) { return a % b == 0; });
  drop_contained(parts.previous_rows, [](std::int64_t a, std::int64_t b) { return a == b; });
  drop_contained(parts.summaries, [](const Cells& a, const Cells& b) {
    return a.length == b.length && a.first <= b.first && b.first + b.count <= a.first + a.count;
  });
  drop_contained(parts.diagonals,
                 [](const Diagonal& a, const Diagonal& b) { return b.step % a.step == 0 && b.extent <= a.extent; });
  std::erase_if(parts.diagonals, [&](const Diagonal& diagonal) { return diagonal.extent <= parts.window; });
  return parts;
}

std::string fault(const Part& part, int& argument) {
  argument = 0;
  const bool prefix = part.primitive == Primitive::prefix, window = part.primitive == Primitive::window;
  if (part.primitive == Primitive::dense) return {};
  if (part.length < 1) return outside(prefix ? "p" : window ? "w" : "l", 1, kLargest, part.length);
  argument = 1;
  if (part.primitive == Primitive::digits && part.cells < 1) return outside("m", 1, kLargest, part.cells);
  if (part.primitive != Primitive::summary) return {};
  if (part.cells < 1 || part.cells > part.length) return outside("c", 1, part.length, part.cells);
  argument = 2;
  const std::int64_t blocks = part.length / part.cells;
  if (part.block < 0 || part.block >= blocks) return outside("o", 0, blocks - 1, part.block);
  return {};
}

void check_pattern(const Pattern& pattern) {
  if (pattern.parts.empty() || pattern.parts.size() > kMaxParts)
    throw_invalid(fmt::format("a pattern has 1 to {} parts, got {}", kMaxParts, pattern.parts.size()));
  for (const Part& part : pattern.parts) {
    int argument = 0;
    const std::string sentence = fault(part, argument);
    if (!sentence.empty()) throw_invalid(fmt::format("pattern \"{}\": {}", to_string(pattern), sentence));
  }
}

}  // namespace longstride
