// Random valid patterns for properties, and the definition as a table.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "longstride/pattern.h"

namespace longstride {

// A whole number in [least, most], each as likely however far the test has come.
inline std::int64_t random_number(std::int64_t least, std::int64_t most) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::int64_t>(least, most + 1));
}

inline std::int64_t random_length() { return random_number(1, 300); }

// One part whose numbers are below, near and above `n` in turn.
inline std::vector<Part> random_part(std::int64_t n) {
  const auto number = [&](std::int64_t least) {
    const std::int64_t most = *rc::gen::element<std::int64_t>(3, 20, 70, n + 5);
    return random_number(least, std::max(least, most));
  };
  const std::int64_t l = number(1);
  switch (random_number(0, 8)) {
    case 0:
      return {{Primitive::window, l}};
    case 1:
      return {{Primitive::column, l}};
    case 2:
      return {{Primitive::row, l}};
    case 3:
      return {{Primitive::previous_row, l}};
    case 4:
      return {{Primitive::prefix, l}};
    case 5:
      return {{Primitive::digits, 1 + l % 9, random_number(1, 3)}};
    case 6: {
      const std::int64_t c = random_number(1, l);
      return {{Primitive::row, l}, {Primitive::summary, l, c, 0, true}};
    }
    case 7:
      return {{Primitive::dense}};
    default: {
      const std::int64_t c = random_number(1, l);
      return {{Primitive::summary, l, c, random_number(0, l / c - 1)}};
    }
  }
}

// The union of one to three random parts.
inline Pattern random_pattern(std::int64_t n) {
  Pattern pattern;
  const std::int64_t parts = random_number(1, 3);
  for (std::int64_t p = 0; p < parts; ++p)
    for (const Part& part : random_part(n))
      if (part.primitive != Primitive::dense || parts == 1) pattern.parts.push_back(part);
  if (pattern.parts.empty()) pattern.parts.push_back({Primitive::dense});
  return pattern;
}

// Patterns with something awkward about them, for every test that walks a list.
inline const std::vector<std::string>& awkward_patterns() {
  static const std::vector<std::string> patterns = {"dense",
                                                    "window(1)",
                                                    "window(64)",
                                                    "window(65)",
                                                    "local(7)",
                                                    "column(1)",
                                                    "column(8)",
                                                    "column(1000)",
                                                    "row(1)",
                                                    "row(16)",
                                                    "row(64)",
                                                    "row(77)",
                                                    "summary(8,8)",
                                                    "summary(8,3)",
                                                    "summary(8,3,1)",
                                                    "summary(100,1)",
                                                    "summary(128,32)",
                                                    "summary(128,32,3)",
                                                    "summary(150,70)",
                                                    "summary(200,130)",
                                                    "previous_row(5)",
                                                    "previous_row(64)",
                                                    "previous_row(90)",
                                                    "previous_row(1000)",
                                                    "prefix(1)",
                                                    "prefix(70)",
                                                    "prefix(1000)",
                                                    "digits(4,1)",
                                                    "digits(4,2)",
                                                    "digits(3,3)",
                                                    "digits(1,5)",
                                                    "digits(2,62)",
                                                    "strided(16)",
                                                    "strided(7)",
                                                    "fixed(16,4)",
                                                    "fixed(128,32)",
                                                    "fixed(7,7)",
                                                    "prefix(20) | summary(7,2)",
                                                    "prefix(10) | window(5) | column(9)",
                                                    "column(6) | column(4)",
                                                    "column(6) | column(4) | column(9)",
                                                    "digits(3,2) | column(7)",
                                                    "row(10) | column(10)",
                                                    "row(10) | previous_row(10) | column(15)",
                                                    "summary(6,2) | summary(10,3) | summary(15,1)",
                                                    "summary(12,4,1) | column(8)",
                                                    "summary(12,4) | column(24)",
                                                    "strided(8) | fixed(16,3)",
                                                    "summary(100,80,0) | prefix(33) | window(9)",
                                                    "previous_row(3) | previous_row(5) | window(2)"};
  return patterns;
}

}  // namespace longstride
