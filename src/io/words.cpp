// This writes numbers and errors as messages need them.
#include "io/words.h"

#include <fmt/format.h>

namespace longstride {

std::string with_commas(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string words;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool after_digit = i > 0 && digits[i - 1] != '-';
    if (after_digit && (digits.size() - i) % 3 == 0) words.push_back(',');
    words.push_back(digits[i]);
  }
  return words;
}

std::string counted(std::int64_t count, const std::string& one) {
  return with_commas(count) + " " + one + (count == 1 ? "" : "s");
}

std::string gigabytes(double bytes) { return fmt::format("{:.2f} GB", bytes / 1e9); }

}  // namespace longstride
