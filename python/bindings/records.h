// Results on their way to the dataclasses of longstride.results: dictionaries that have just their fields.
#pragma once

#include "bindings.h"
#include "longstride/origin.h"
#include "longstride/plan.h"

namespace longstride::python {

nb::object origin_record(const Origin& origin);
nb::dict plan_record(const Plan& plan);

// None for the numbers that the library says as -1.
inline nb::object unless_negative(double number) { return number < 0 ? nb::none() : nb::object(nb::float_(number)); }

}  // namespace longstride::python
