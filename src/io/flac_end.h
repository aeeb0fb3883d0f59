// Whether a FLAC that does not say how many samples it has ends with a whole frame.
#pragma once

#include "io/file.h"

namespace longstride {

// Error corrupt_data where it does not. Says nothing of other files, and of those that know their length: readers find
// out by counting.
void check_flac_end(const InputFile& file);

}  // namespace longstride
