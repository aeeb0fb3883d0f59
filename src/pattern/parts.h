// A pattern at a given length in its fewest forms: what is contained in something else is dropped, what is another
// form under a special number (column(1), row(n), digits(l,1)) becomes that form. All closed forms start from here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longstride/pattern.h"

namespace longstride {

inline constexpr int kMaxParts = 8;  // parts of one pattern; inclusion-exclusion walks 2^parts subsets

// Keys j with j mod length in [first, first + count): a summary. 0 <= first, first + count <= length.
struct Cells {
  std::int64_t length = 1;
  std::int64_t first = 0;
  std::int64_t count = 1;
  bool has(std::int64_t j) const {
    const std::int64_t residue = j % length;
    return residue >= first && residue - first < count;
  }
  // How many cells lie at keys below x; the gathered index of x where x is a cell.
  std::int64_t before(std::int64_t x) const {
    const std::int64_t inside = x % length - first;
    return x / length * count + (inside < 0 ? 0 : inside > count ? count : inside);
  }
  std::int64_t at(std::int64_t t) const { return first + t / count * length + t % count; }
  bool operator==(const Cells&) const = default;
};

// (i - j) mod step = 0 and 0 <= i - j < extent: a column (extent n) or digits. 1 < step < n.
struct Diagonal {
  std::int64_t step = 1;
  std::int64_t extent = 1;
  bool operator==(const Diagonal&) const = default;
};

struct Parts {
  std::int64_t n = 0;
  std::int64_t window = 0;                  // the widest; 0: none; n: dense, and then nothing else is here
  std::int64_t prefix = 0;                  // the longest; 0: none
  std::vector<std::int64_t> rows;           // lengths below n
  std::vector<std::int64_t> previous_rows;  // lengths below n
  std::vector<Cells> summaries;
  std::vector<Diagonal> diagonals;
  bool dense() const { return window >= n; }
  // True if some part is best read by neighbouring queries together.
  bool contiguous() const {
    return window > 0 || prefix > 0 || !rows.empty() || !previous_rows.empty() || !summaries.empty();
  }
  bool operator==(const Parts&) const = default;
};

// pattern: valid (see check_pattern); a spread summary counts as head 0's. Right for all 0 <= j <= i < n.
Parts reduce(const Pattern& pattern, std::int64_t n);

// base^exponent, or the largest int64 where that is larger. base >= 1, exponent >= 0.
std::int64_t power(std::int64_t base, std::int64_t exponent);

// The smallest common multiple, at most `most`. a, b >= 1.
std::int64_t common_multiple(std::int64_t a, std::int64_t b, std::int64_t most);

// What is wrong with the numbers of a part: empty, or "c must be in [1, 128], got 129"; `argument` is then the 0-based
// place of the number at fault.
std::string fault(const Part& part, int& argument);

// Throws Error invalid_argument where a number is out of range or the parts are too many.
void check_pattern(const Pattern& pattern);

}  // namespace longstride
