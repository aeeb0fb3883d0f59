// What tests of faults made on purpose ask of a run: the error that it gives, or NaN in what it leaves.
#pragma once

#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace longstride::cuda {

inline bool any_nan(const std::vector<float>& x) {
  for (const float one : x)
    if (std::isnan(one)) return true;
  return false;
}

// The words of the error that running it gives; empty: none.
inline std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace longstride::cuda
