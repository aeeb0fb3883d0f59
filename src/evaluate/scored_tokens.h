// What is told of single tokens after a range was scored: their bits, and what the model held likeliest.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "longstride/evaluate.h"
#include "model/held_model.h"

namespace longstride {

// Calls options.scored for every token of the range. bits: of each, as they were scored under options.min_context. Ends
// early where options.stop is set.
void tell_tokens(HeldModel& held, const Dataset& data, ByteRange range, DType type, const std::vector<float>& bits,
                 const EvaluateOptions& options);

}  // namespace longstride
