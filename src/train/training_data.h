// What must hold of data before a run trains on them.
#pragma once

#include <atomic>

#include "data/dataset.h"
#include "longstride/config.h"

namespace longstride {

// Throws invalid_argument, naming key or file and what helps, where the training part is shorter than a context, or
// validations are counted and there is nothing to validate on.
void require_parts(const Dataset& data, const Config& config);

// The same where a byte is outside the model's vocabulary; stopped where `stop` was set meanwhile. Reads all data where
// the vocabulary lacks a byte.
void require_tokens(const Dataset& data, const Config& config, const std::atomic<bool>* stop);

}  // namespace longstride
