// Weights that a run begins with in place of random ones (training.init): those of another run.
#pragma once

#include <string>

#include "data/dataset.h"
#include "longstride/config.h"

namespace longstride {

// Puts the file's own path in the place of what training.init names, and its hash into training.init_sha256; does
// nothing where none is named. Errors: invalid_argument, naming the key, where there is no such thing, the model that
// is to be trained needs other tensors or positions, or the file is not the one that the hash is of; corrupt_data.
void settle_initial_weights(Config& config);

// Throws where settled weights have learned another kind of data (text, image, sound) than config.data are. run: the
// folder that will be trained into. Errors: invalid_argument, and those of find_kind.
void require_kind_of_weights(const Config& config, const std::string& run);

// Throws where settled weights that are finite give losses that are not, tried on the beginning of the training part:
// every step would be skipped. Memory: the weights in float32 and a pass of one window. Errors: corrupt_data, and those
// of Model.
void require_finite_losses(const Config& config, const Dataset& data);

}  // namespace longstride
