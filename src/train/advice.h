// What to change about a run that does not fit, tried before it is said.
#pragma once

#include <functional>
#include <string>

#include "longstride/config.h"

namespace longstride {

// "try --batch 2 --set training.recompute=block": options with which the run fits, the fewest of a fixed order: what
// leaves the results as they are comes first, fewer layers last. A sentence that names none where none of them helps.
std::string advice_for(const Config& config, const std::function<bool(const Config&)>& fits);

}  // namespace longstride
