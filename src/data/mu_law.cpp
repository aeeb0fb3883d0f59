// This computes mu-law codes by the formula, and the value in the middle of what each code stands for.
#include "data/mu_law.h"

#include <algorithm>
#include <cmath>

namespace longstride {

std::uint8_t mu_law_code(double x) {
  const double loudness = std::log(1 + 255 * std::min(std::abs(x), 1.0)) / std::log(256.0);
  return static_cast<std::uint8_t>(std::round(127.5 * (1 + std::copysign(loudness, x))));
}

double mu_law_value(std::uint8_t code) {
  const double y = code / 127.5 - 1;
  return std::copysign((std::pow(256.0, std::abs(y)) - 1) / 255, y);
}

}  // namespace longstride
