// From a configuration's precision to the type of activations.
#pragma once

#include "longstride/config.h"
#include "ops/backend.h"

namespace longstride {

// precision: no automatic choice left.
inline DType type_of(Precision precision) {
  return precision == Precision::bfloat16 ? DType::bfloat16 : DType::float32;
}

// What to take where nothing was asked for: bfloat16 where the device multiplies it natively.
inline Precision resolved(Precision asked, const Facts& facts) {
  if (asked != Precision::automatic) return asked;
  return facts.bfloat16 ? Precision::bfloat16 : Precision::float32;
}

}  // namespace longstride
