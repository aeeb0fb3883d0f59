// A pattern's text; what is counted of one that was read is held against its definition, over a few positions.
#include "longstride/pattern.h"

#include <algorithm>

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

constexpr std::int64_t kPositions = 40;

void count(const Pattern& pattern) {
  std::int64_t pairs = 0, most = 0;
  for (std::int64_t i = 0; i < kPositions; ++i) {
    std::vector<std::int64_t> defined, listed;
    for (std::int64_t j = 0; j <= i; ++j)
      if (attends(pattern, i, j)) defined.push_back(j);
    list_keys(pattern, i, listed);
    require(listed == defined, "keys are listed as they are defined");
    const auto keys = static_cast<std::int64_t>(defined.size());
    require(count_keys(pattern, i) == keys, "keys are counted as they are defined");
    pairs += keys;
    most = std::max(most, keys);
  }
  require(count_pairs(pattern, kPositions) == pairs, "pairs are counted as they are defined");
  require(max_keys(pattern, kPositions) == most, "the most keys are those of some query");
}

// Where products are large. Summaries of several lengths are walked row by row: there are too many rows.
void count_far_out(const Pattern& pattern) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 30) - 1;
  const auto is_summary = [](const Part& part) { return part.primitive == Primitive::summary; };
  if (std::count_if(pattern.parts.begin(), pattern.parts.end(), is_summary) > 1) return;
  const std::int64_t keys = count_keys(pattern, kFar);
  require(keys >= 0 && keys <= kFar + 1, "a query reads keys up to its own");
  if (attends(pattern, kFar, kFar)) require(keys >= 1, "a query that reads itself reads a key");
}

void read_pattern(Input bytes) {
  const Pattern pattern = parse_pattern(as_text(bytes));
  require(parse_pattern(to_string(pattern)) == pattern, "a pattern is read as it was written");
  for (std::int64_t head = 0; head < 3; ++head) count(for_head(pattern, head));
  count_far_out(pattern);
  problems({{{pattern}}}, 2, kPositions);
  draw_text(pattern, kPositions, 20);
}

const Registered kPattern("pattern", read_pattern);

}  // namespace
}  // namespace longstride::fuzz
