// From a configuration's precision to the type of activations.
#pragma once

#include <fmt/format.h>

#include <string>

#include "longstride/config.h"
#include "ops/backend.h"

namespace longstride {

// As configurations and options have it.
inline const char* to_string(Precision precision) {
  if (precision == Precision::automatic) return "auto";
  return precision == Precision::float32 ? "float32" : "bfloat16";
}

// precision: no automatic choice left.
inline DType type_of(Precision precision) {
  return precision == Precision::bfloat16 ? DType::bfloat16 : DType::float32;
}

// What to take where nothing was asked for, and why, for people.
struct PrecisionChoice {
  Precision precision;
  std::string reason;
};

// What is said of it: "in bfloat16: as the run trained".
inline std::string precision_words(const PrecisionChoice& choice) {
  return fmt::format("in {}: {}", to_string(choice.precision), choice.reason);
}

// ratio: Backend::bfloat16_over_float32. Processors exist that multiply bfloat16 natively, and more slowly than
// float32.
inline PrecisionChoice choice_of_precision(double ratio) {
  if (ratio == 0) return {Precision::float32, "this machine has no products of bfloat16"};
  return {ratio >= 1 ? Precision::bfloat16 : Precision::float32,
          fmt::format("products of bfloat16 run at {:.2f} times the rate of float32's here", ratio)};
}

// What was asked for, or that. It is measured where nothing was asked for, and only then.
inline PrecisionChoice resolved(Precision asked, const Backend& backend) {
  if (asked != Precision::automatic) return {asked, "as asked"};
  return choice_of_precision(backend.bfloat16_over_float32());
}

}  // namespace longstride
