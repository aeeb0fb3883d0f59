// What must hold of data, and of weights to begin with, before a run trains.
#pragma once

#include <atomic>

#include "data/dataset.h"
#include "longstride/config.h"

namespace longstride {

// Settles the weights that a run begins with, where it names any (train/initial_weights.h), and throws where they do
// not fit its model or the kind of its data. run: the folder that will be trained into. Errors: those of both.
void settle_weights(Config& config, const std::string& run);

// How a run opens its data, before anything is said of folders. config must outlive them.
DatasetOptions data_options(const Config& config);

// Throws invalid_argument, naming key or file and what helps, where the training part is shorter than a context, or
// validations are counted and there is nothing to validate on.
void require_parts(const Dataset& data, const Config& config);

// The same where a byte is outside the model's vocabulary; stopped where `stop` was set meanwhile. Reads all data where
// the vocabulary lacks a byte.
void require_tokens(const Dataset& data, const Config& config, const std::atomic<bool>* stop);

}  // namespace longstride
