// What to change about a run that does not fit, tried before it is said.
#pragma once

#include <functional>
#include <string>

#include "longstride/config.h"

namespace longstride {

// "try --batch 2 --set training.recompute=block": options with which the run fits, no more of them than it needs and as
// large a run as they allow: what leaves the results as they are comes first, fewer layers last. The same for any
// number of layers or windows that is too large. Where none of them helps a sentence that says so and what is needed,
// `needed`: "a smaller model.width or model.context".
std::string advice_for(const Config& config, const std::function<bool(const Config&)>& fits, const std::string& needed);

}  // namespace longstride
