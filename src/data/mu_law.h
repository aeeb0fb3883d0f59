// Sound as bytes: 8-bit mu-law in order of amplitude (docs/data.md).
#pragma once

#include <cstdint>

namespace longstride {

// round(127.5 (1 + sgn(x) ln(1 + 255 |x|) / ln 256)), x limited to [-1, 1]: 0 to 255, silence at 128.
std::uint8_t mu_law_code(double x);

// The inverse: sgn(y) (256^|y| - 1) / 255 with y = code / 127.5 - 1. mu_law_code of it is the code again.
double mu_law_value(std::uint8_t code);

}  // namespace longstride
