// Numbers as messages write them.
#pragma once

#include <cstdint>
#include <string>

namespace longstride {

std::string with_commas(std::int64_t number);                     // 4,812,331
std::string counted(std::int64_t count, const std::string& one);  // 1 step, 1,200 steps
std::string gigabytes(double bytes);                              // 13.40 GB: powers of 1,000, as everywhere

}  // namespace longstride
